"""E-mail, by the server of the setting EMAIL_URL."""

from smtplib import SMTPException, SMTPResponseException
from urllib.parse import unquote

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from scenarios.domain.errors import ScenarioError
from scenarios.domain.outputs import shorten
from scenarios.notifications.channels.headline import Headline, Severity

SCHEME = "mailto:"
MAX_SUBJECT = 200
# A server answers each accepted message so; it stands where an HTTP status would.
ACCEPTED = 250


class MailNotSent(ScenarioError):  # noqa: N818 - an answer
    """The mail server could not be reached, or refused the message."""


def list_recipients(address: str) -> list[str]:
    """The mailboxes of an address like 'mailto:ann@example.com,bob@example.com'."""
    return [unquote(part).strip() for part in address.removeprefix(SCHEME).split(",") if part.strip()]


def send_mail(headline: Headline, address: str, message_id: str) -> int:
    """Send it, waiting for the server; return the server's reply code.

    The message has the id of its delivery, by which a mail program drops what it already has.

    Raises:
        MailNotSent: the server did not accept it for every recipient.
    """
    facts = "\n".join(f"{name}: {text}" for name, text in headline.facts)
    parts = [headline.title, facts, headline.link, f"Sent at {headline.at} by Test Coordinator."]
    mark = "" if headline.severity is Severity.INFO else f"{headline.severity.upper()}: "
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].rstrip(">") or "localhost"
    mail = EmailMessage(
        shorten(f"{mark}{' '.join(headline.title.split())}", MAX_SUBJECT),
        "\n\n".join(part for part in parts if part) + "\n",
        to=list_recipients(address),
        headers={"Message-ID": f"<{message_id}@{domain}>", "Auto-Submitted": "auto-generated"},
        connection=get_connection(timeout=settings.EMAIL_TIMEOUT),
    )
    hand_over(mail)
    return ACCEPTED


def hand_over(mail: EmailMessage) -> None:
    """Send the message, waiting for the server.

    Raises:
        MailNotSent: the server did not accept it for every recipient.
    """
    try:
        mail.send()
    except SMTPResponseException as error:
        answer = error.smtp_error
        said = answer.decode(errors="replace") if isinstance(answer, bytes) else str(answer)
        raise MailNotSent(f"the mail server answered {error.smtp_code} {said}"[:300]) from error
    except (SMTPException, OSError) as error:
        raise MailNotSent(
            f"the mail server did not take it: {error or type(error).__name__}"[:300]
        ) from error
