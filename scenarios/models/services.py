"""Services that scenarios act on, by name."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator, URLValidator
from django.db import models
from django.utils import timezone

from scenarios.models.fields import DNS_LABEL

HEALTH_PATH = RegexValidator(
    r"^/(?!/)[!-~]*\Z", "Start the path with one '/' and use no spaces, as in '/health'."
)
DEFAULT_HEALTH_PATH = "/health"


class Service(models.Model):
    """A service that scenarios act on, by name."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    base_url = models.CharField(
        verbose_name="base URL",
        max_length=500,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="For example http://127.0.0.1:9101. Paths in steps are appended.",
    )
    description = models.TextField(blank=True)
    is_protected = models.BooleanField(
        "protected",
        default=False,
        help_text="A run that acts on this service starts only after a second person has approved it.",
    )
    health_path = models.CharField(
        max_length=200,
        default=DEFAULT_HEALTH_PATH,
        blank=True,
        validators=[HEALTH_PATH],
        help_text="The path to request for its health, such as /health or /ready?full=1.",
    )
    health_status = models.PositiveSmallIntegerField(
        "healthy status",
        null=True,
        blank=True,
        validators=[MinValueValidator(100), MaxValueValidator(599)],
        help_text="The HTTP status of a healthy response. Leave empty for any from 200 to 299.",
    )
    protected_since = models.DateTimeField(
        null=True, editable=False, help_text="Since when it is protected at this address."
    )

    class Meta:
        ordering = ["name"]
        permissions = [("protect_service", "Can protect a service, and change a protected one")]

    def __str__(self) -> str:
        return self.name

    def save(self, *arguments: Any, **named: Any) -> None:
        present = Service.objects.filter(pk=self.pk, base_url=self.base_url, is_protected=True)
        if not self.is_protected:
            self.protected_since = None
        elif self.pk is None or not present.exists():
            self.protected_since = timezone.now()
        super().save(*arguments, **named)
