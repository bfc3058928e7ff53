"""Machines that faults can be injected on, by name."""

from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from scenarios.domain import service_urls
from scenarios.models.fields import DNS_LABEL

MAX_LABELS = 50
MAX_LABEL_LENGTH = 200


def check_ssh_address(text: str) -> None:
    try:
        service_urls.parse_ssh_address(text)
    except ValueError as error:
        raise ValidationError(f"{error}.") from None


def check_labels(value: Any) -> None:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValidationError('Labels are a JSON object whose values are text, as in {"role": "shop"}.')
    if len(value) > MAX_LABELS:
        raise ValidationError(f"A host has at most {MAX_LABELS} labels; these are {len(value)}.")
    for name, text in value.items():
        if not name.strip() or "=" in name or not (name + text).isprintable():
            raise ValidationError(f"{name[:80]!r} is not a label: use a name without '=' on one line.")
        if max(len(name), len(text)) > MAX_LABEL_LENGTH:
            raise ValidationError(f"The label {name[:80]!r} is longer than {MAX_LABEL_LENGTH} characters.")


class Host(models.Model):
    """A machine that faults can be injected on, by name."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    address = models.CharField(
        "SSH address",
        max_length=500,
        blank=True,
        default="",
        validators=[check_ssh_address],
        help_text="USER@HOST or USER@HOST:PORT. Leave empty for the worker's own machine.",
    )
    labels = models.JSONField(
        default=dict,
        blank=True,
        validators=[check_labels],
        help_text='Names and values by which scenarios select hosts, such as {"role": "shop"}.',
    )
    description = models.TextField(blank=True)
    is_protected = models.BooleanField(
        "protected",
        default=False,
        help_text="A run that acts on this host starts only after a second person has approved it.",
    )

    class Meta:
        ordering = ["name"]
        permissions = [("protect_host", "Can protect a host, and change a protected one")]

    def __str__(self) -> str:
        return self.name
