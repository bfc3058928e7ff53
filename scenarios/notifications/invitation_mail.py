"""The e-mail with the link of an invitation."""

from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from scenarios.models.invitations import Invitation
from scenarios.notifications.channels.mail import hand_over

TEXT = """\
{invited_by} invites you to Test Coordinator, which breaks services on purpose and checks what survives.

Choose your name and password here, until {until:%Y-%m-%d %H:%M} UTC:

{link}

The link works once. If you did not expect it, ignore this message.
"""


def may_send() -> bool:
    """Whether a mail server is configured."""
    return bool(settings.EMAIL_URL)


def send_invitation(invitation: Invitation, link: str) -> None:
    """Send it, waiting for the server.

    Raises:
        MailNotSent: the server did not accept it.
    """
    body = TEXT.format(invited_by=invitation.invited_by, until=invitation.expires_at, link=link)
    hand_over(
        EmailMessage(
            "Invitation to Test Coordinator",
            body,
            to=[invitation.email],
            headers={"Auto-Submitted": "auto-generated"},
            connection=get_connection(timeout=settings.EMAIL_TIMEOUT),
        )
    )
