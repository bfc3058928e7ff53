"""Environments that scenarios run in: staging, production."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from scenarios.domain.environment_words import find_invalid_services, find_invalid_values
from scenarios.models.fields import DNS_LABEL
from scenarios.models.services import (
    PROXY_SECRET,
    SECRET_PREFIX,
    check_base_url,
    check_listener,
    check_proxy_url,
)

CHECKS: dict[str, Callable[[str], None]] = {
    "base_url": check_base_url,
    "proxy": check_proxy_url,
    "proxy_listener": check_listener,
    "proxy_secret": PROXY_SECRET,
}


def check_environment_services(value: Any) -> None:
    if problem := find_invalid_services(value, SECRET_PREFIX):
        raise ValidationError(f"{problem}.")
    for name, words in value.items():
        for word, check in CHECKS.items():
            if words.get(word):
                try:
                    check(words[word])
                except ValidationError as error:
                    raise ValidationError(f"{name}.{word}: {' '.join(error.messages)}") from None


def check_environment_variables(value: Any) -> None:
    if problem := find_invalid_values(value):
        raise ValidationError(f"{problem}.")


class Environment(models.Model):
    """Where some services have other addresses, and what values of variables belong there.

    `services` has a mapping for each service: `base_url` and optionally `protected`, `proxy`,
    `proxy_listener`, `proxy_secret`, `tls` and `auth`; and `protected_since`, as `Service.protected_since`.
    """

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    description = models.TextField(blank=True)
    services = models.JSONField(
        default=dict,
        blank=True,
        validators=[check_environment_services],
        help_text=(
            'For example {"exchange": {"base_url": "http://exchange.staging:9101", "protected": true}}. '
            "A run there uses no other services."
        ),
    )
    variables = models.JSONField(
        default=dict,
        blank=True,
        validators=[check_environment_variables],
        help_text='For scenarios that declare them, for example {"limit": "2s"}. '
        "Values given at the start of a run take precedence.",
    )
    is_protected = models.BooleanField(default=False, editable=False)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def save(self, *arguments: Any, **named: Any) -> None:
        stored = Environment.objects.filter(pk=self.pk).values_list("services", flat=True).first() or {}
        self.services = {
            name: _note_protection(words, stored.get(name, {})) for name, words in self.services.items()
        }
        self.is_protected = any(words.get("protected") for words in self.services.values())
        super().save(*arguments, **named)

    def clean(self) -> None:
        # Django does not validate empty values, whatever their type.
        for name in ("services", "variables"):
            if not isinstance(getattr(self, name), dict):
                raise ValidationError({name: f"{name!r} must be a mapping."})

    def list_services(self) -> dict[str, dict[str, Any]]:
        """What a person has written of each service."""
        return {
            name: {word: value for word, value in words.items() if word != "protected_since"}
            for name, words in self.services.items()
        }


def _note_protection(words: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Since when the service is protected at this address."""
    kept = {word: value for word, value in words.items() if word != "protected_since"}
    if not kept.get("protected"):
        return kept
    is_same = before.get("protected") and before.get("base_url") == kept["base_url"]
    since = before.get("protected_since") if is_same else None
    return {**kept, "protected_since": since or timezone.now().isoformat()}
