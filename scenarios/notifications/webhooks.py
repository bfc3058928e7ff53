"""Saves and deletes webhooks, and makes their secrets."""

import hashlib
import secrets
from datetime import datetime, timedelta

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac

from scenarios.domain.errors import ScenarioError
from scenarios.domain.webhook_signatures import format_secret
from scenarios.domain.webhooks import Message
from scenarios.models import DeletionRequest, Delivery, Webhook
from scenarios.notifications.addresses import check_receiver
from scenarios.notifications.outbox import format_message

NAME_TAKEN = "name_taken"
# Both secrets sign for this long after a change, so that receivers can switch without a gap.
EARLIER_SECRET_SIGNS = timedelta(hours=24)


class SecretKeyChanged(ScenarioError):  # noqa: N818 - a state
    """The webhook's secret was made with another SECRET_KEY, so its receiver would refuse the signature."""


def save_webhook(webhook: Webhook, *, by: User | None = None) -> str:
    """Store the webhook. Return the secret of a new one that signs, which is shown only now; else "".

    Raises:
        ReceiverRefused: this site may not send there.
        ValidationError: it is being deleted.
    """
    if webhook.pk is not None and DeletionRequest.objects.filter(webhook=webhook.pk).exists():
        sentence = f"The webhook {webhook.name!r} is being deleted; withdraw that, or use another name."
        raise ValidationError({"name": sentence})
    check_receiver(webhook)
    webhook.changed_by = by
    if webhook.is_enabled:
        webhook.disabled_because = ""
    if webhook.pk is None:
        secret = _give_secret(webhook)
        return secret if webhook.is_signed else ""
    kept = ["name", "kind", "url", "key", "events", "tags", "is_enabled", "disabled_because", "changed_by"]
    webhook.save(update_fields=kept)
    return ""


def validate_and_save_webhook(webhook: Webhook, *, by: User | None = None) -> str:
    """Validate all fields, then do as `save_webhook`.

    Raises:
        ValidationError: with a sentence for each invalid field; for a name that another webhook has, with
            the code NAME_TAKEN.
        ReceiverRefused: this site may not send there.
    """
    webhook.full_clean(exclude=["salt", "fingerprint", "earlier_salt", "changed_by"], validate_unique=False)
    if Webhook.objects.filter(name=webhook.name).exclude(pk=webhook.pk).exists():
        sentence = f"A webhook named {webhook.name!r} already exists; choose another name."
        raise ValidationError({"name": ValidationError(sentence, code=NAME_TAKEN)})
    return save_webhook(webhook, by=by)


def change_secret(webhook: Webhook, *, by: User | None = None) -> str:
    """Make a new secret and return it, this once. The previous one also signs for 24 hours."""
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
    """The keys whose signatures the receiver may expect.

    Raises:
        SecretKeyChanged: they cannot be derived any more.
    """
    if webhook.fingerprint != _fingerprint(webhook.salt):
        raise SecretKeyChanged(
            "SECRET_KEY has changed since the secret was made; restore it, or make a new secret."
        )
    keys = [_derive_key(webhook.salt)]
    if webhook.earlier_salt and now < webhook.secret_changed_at + EARLIER_SECRET_SIGNS:
        keys.append(_derive_key(webhook.earlier_salt))
    return keys


def _derive_key(salt: str) -> bytes:
    return salted_hmac("scenarios.notifications.webhooks.secret", salt, algorithm="sha256").digest()


def _fingerprint(salt: str) -> str:
    """Identifies the key without revealing it."""
    return hashlib.sha256(_derive_key(salt)).hexdigest()[:16]


def send_test(webhook: Webhook) -> Delivery:
    """Write a test message; the watchdog sends it within a second."""
    now = timezone.now()
    payload = format_message(Message.TEST, now, {"webhook": webhook.name})
    return Delivery.objects.create(webhook=webhook, message=Message.TEST, payload=payload)
