"""Where a webhook sends to, and whether this site may send there."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.http.request import validate_host

from scenarios.domain.errors import ScenarioError, StepImpossible
from scenarios.domain.templates import find_secret_reference
from scenarios.domain.webhooks import SUBSCRIBABLE, Message, WebhookKind
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.models import Webhook
from scenarios.notifications.channels import mail, pagerduty

MAX_RECIPIENTS = 50


@dataclass
class ReceiverRefused(ScenarioError):  # noqa: N818
    """This site does not send there; the message says why, with a hint. `field` is the webhook's."""

    field: str
    reason: str

    def __str__(self) -> str:
        return self.reason


def check_receiver(webhook: Webhook) -> None:
    """Check kind, address, key and messages, before the webhook is saved.

    Raises:
        ReceiverRefused: one of them is not possible, or names a secret that is missing.
    """
    read_address(webhook)
    if webhook.kind == WebhookKind.PAGERDUTY:
        unused = sorted(set(webhook.events) - pagerduty.EVENTS)
        if unused:
            rule = ", ".join(sorted(pagerduty.EVENTS))
            raise ReceiverRefused("events", f"PagerDuty has no use for {unused[0]!r}; choose among {rule}.")
        read_key(webhook)
    elif webhook.key:
        raise ReceiverRefused(
            "key", f"A webhook of kind {webhook.kind!r} takes no key; only 'pagerduty' does."
        )


def read_address(webhook: Webhook) -> str:
    """The address that this site may send to, with a secret in place of its reference.

    Raises:
        ReceiverRefused: it may not, or the secret is missing.
    """
    name = find_secret_reference(webhook.url)
    address = _read_secret(name, "url") if name else webhook.url
    check_address(address, webhook.kind, shown=webhook.url)
    return address


def read_key(webhook: Webhook) -> str:
    """PagerDuty's routing key.

    Raises:
        ReceiverRefused: the webhook names no secret, or one that is missing.
    """
    if not (name := find_secret_reference(webhook.key)):
        raise ReceiverRefused(
            "key", "PagerDuty needs a routing key; write the secret that holds it, as '${secret:NAME}'."
        )
    return _read_secret(name, "key")


def _read_secret(name: str, field: str) -> str:
    try:
        return ConfiguredSecrets().secret(name)
    except StepImpossible as error:
        raise ReceiverRefused(field, str(error)) from error


def check_address(url: str, kind: str = WebhookKind.WEBHOOK, *, shown: str = "") -> None:
    """Check that this site may send there, when a webhook is saved and before each message.

    `shown` stands in the error instead of an address that is a secret.

    Raises:
        ReceiverRefused: it may not.
    """
    if kind == WebhookKind.EMAIL:
        _check_recipients(url, shown or url)
    else:
        _check_web_address(url, shown or url)


def _check_web_address(url: str, shown: str) -> None:
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        is_address = parts.scheme in {"http", "https"} and bool(host) and parts.port != 0
    except ValueError:  # an unclosed bracket, or an invalid port
        is_address = False
    if not is_address:
        raise ReceiverRefused(
            "url", f"Invalid address {shown[:80]!r}; write it like 'https://hooks.example.com/runs'."
        )
    if parts.username or parts.password or parts.fragment:
        raise ReceiverRefused(
            "url",
            "The address must not contain a password or a fragment; receivers verify the signature instead.",
        )
    if parts.scheme == "http" and settings.ENVIRONMENT != "development" and not is_loopback(host):
        raise ReceiverRefused("url", f"The address of {host!r} must begin with 'https://'.")
    _check_host(f"[{host}]" if ":" in host else host)


def _check_recipients(url: str, shown: str) -> None:
    recipients = mail.list_recipients(url) if url.startswith(mail.SCHEME) else []
    if not recipients or "?" in url:
        raise ReceiverRefused(
            "url",
            f"Invalid address {shown[:80]!r}; write it like 'mailto:oncall@example.com,qa@example.com'.",
        )
    if len(recipients) > MAX_RECIPIENTS:
        raise ReceiverRefused(
            "url", f"{len(recipients)} recipients are more than {MAX_RECIPIENTS}; use a list's address."
        )
    for recipient in recipients:
        try:
            validate_email(recipient)
        except ValidationError as error:
            raise ReceiverRefused(
                "url", f"Invalid mailbox {recipient[:80]!r}; write it like 'oncall@example.com'."
            ) from error
        _check_host(recipient.rpartition("@")[2].lower())
    if not settings.EMAIL_URL:
        raise ReceiverRefused(
            "url", "No mail server is known; set EMAIL_URL, as 'smtp+tls://mail.example.com:587'."
        )


def _check_host(host: str) -> None:
    if not validate_host(host, settings.WEBHOOK_ALLOWED_HOSTS):
        allowed = ", ".join(settings.WEBHOOK_ALLOWED_HOSTS) or "none"
        raise ReceiverRefused(
            "url", f"Host {host!r} is not allowed; the setting WEBHOOK_ALLOWED_HOSTS allows {allowed}."
        )


def is_loopback(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}


def list_usable_events(kind: str) -> frozenset[Message]:
    """The messages that a receiver of this kind can be sent."""
    return pagerduty.EVENTS if kind == WebhookKind.PAGERDUTY else frozenset(SUBSCRIBABLE)
