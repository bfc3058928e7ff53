"""Webhooks as a person keeps them: where they go, what they are told of, and their secrets."""

import hashlib
import secrets
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http.request import validate_host
from django.utils import timezone
from django.utils.crypto import salted_hmac

from scenarios.domain.errors import ScenarioError
from scenarios.domain.webhooks import Message, format_secret
from scenarios.models import Delivery, Webhook
from scenarios.notifications.outbox import format_message

# Both secrets sign for so long after a change: receivers take the new one over without a gap.
EARLIER_SECRET_SIGNS = timedelta(hours=24)


class AddressRefused(ScenarioError):  # noqa: N818
    """Nothing is sent to this address; the message says why and what may be done."""


class SecretKeyChanged(ScenarioError):  # noqa: N818 - a state
    """The webhook's secret was made of another SECRET_KEY: its receiver would refuse the signature."""


def check_address(url: str) -> None:
    """Whether this site sends there: asked when a webhook is saved, and again before each message.

    Raises:
        AddressRefused: with the rule and a hint.
    """
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        is_address = parts.scheme in {"http", "https"} and bool(host) and parts.port != 0
    except ValueError:  # half a bracket, a port that is none
        is_address = False
    if not is_address:
        raise AddressRefused(f"{url[:80]!r} is no address: write it as 'https://hooks.example.com/runs'.")
    if parts.username or parts.password or parts.fragment:
        raise AddressRefused(
            "An address holds neither a password nor a fragment: a receiver knows us by the signature."
        )
    if parts.scheme == "http" and settings.ENVIRONMENT != "development" and not is_loopback(host):
        raise AddressRefused(f"{host!r} is asked without TLS: begin the address with 'https://'.")
    named = f"[{host}]" if ":" in host else host
    if not validate_host(named, settings.WEBHOOK_ALLOWED_HOSTS):
        allowed = ", ".join(settings.WEBHOOK_ALLOWED_HOSTS) or "none"
        raise AddressRefused(f"{named!r} is not in the setting WEBHOOK_ALLOWED_HOSTS: allowed are {allowed}.")


def is_loopback(host: str) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}


def save_webhook(webhook: Webhook, *, by: User | None = None) -> str:
    """Store it. A new one is given its secret, which is returned this one time; else "".

    Raises:
        AddressRefused: this site sends nothing there.
    """
    check_address(webhook.url)
    webhook.changed_by = by
    if webhook.is_enabled:
        webhook.disabled_because = ""
    if webhook.pk is None:
        return _give_secret(webhook)
    kept = ["name", "url", "events", "tags", "is_enabled", "disabled_because", "changed_by"]
    webhook.save(update_fields=kept)
    return ""


def validate_and_save_webhook(webhook: Webhook, *, by: User | None = None) -> str:
    """Store what no form has checked; the secret of a new one, else "".

    Raises:
        ValidationError: with a sentence for each field that makes no sense.
        AddressRefused: this site sends nothing there.
    """
    webhook.full_clean(exclude=["salt", "fingerprint", "earlier_salt", "changed_by"])
    return save_webhook(webhook, by=by)


@transaction.atomic
def delete_webhook(webhook: Webhook) -> None:
    """Delete it with its deliveries: nothing more is sent to it."""
    # Locked first: what is being written to it is there by then, and goes with it.
    Webhook.objects.select_for_update().filter(pk=webhook.pk).first()
    webhook.delete()


def change_secret(webhook: Webhook, *, by: User | None = None) -> str:
    """Give it a new secret, returned this one time; the one before signs as well for a day."""
    with transaction.atomic():
        locked = Webhook.objects.select_for_update().get(pk=webhook.pk)
        locked.earlier_salt = locked.salt if locked.fingerprint == _fingerprint(locked.salt) else ""
        locked.changed_by = by
        return _give_secret(locked)


def _give_secret(webhook: Webhook) -> str:
    webhook.salt = secrets.token_hex(32)
    webhook.fingerprint = _fingerprint(webhook.salt)
    webhook.secret_changed_at = timezone.now()
    webhook.save()
    return format_secret(_derive_key(webhook.salt))


def list_signing_keys(webhook: Webhook, now: datetime) -> list[bytes]:
    """The keys whose signatures its receiver may expect.

    Raises:
        SecretKeyChanged: they cannot be made any more.
    """
    if webhook.fingerprint != _fingerprint(webhook.salt):
        raise SecretKeyChanged(
            "SECRET_KEY is not the one that the secret was made of: put it back, or make a new secret."
        )
    keys = [_derive_key(webhook.salt)]
    if webhook.earlier_salt and now < webhook.secret_changed_at + EARLIER_SECRET_SIGNS:
        keys.append(_derive_key(webhook.earlier_salt))
    return keys


def _derive_key(salt: str) -> bytes:
    return salted_hmac("scenarios.notifications.webhooks.secret", salt, algorithm="sha256").digest()


def _fingerprint(salt: str) -> str:
    """Of the key, not the key: a one-way function of 256 random bits."""
    return hashlib.sha256(_derive_key(salt)).hexdigest()[:16]


def send_test(webhook: Webhook) -> Delivery:
    """Write a message that tells nothing but that it arrives; the watchdog sends it within a second."""
    now = timezone.now()
    payload = format_message(Message.TEST, now, {"webhook": webhook.name})
    return Delivery.objects.create(webhook=webhook, message=Message.TEST, payload=payload)
