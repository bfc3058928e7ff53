"""Services that scenarios act on, by name."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.utils import timezone

from scenarios.domain import service_urls
from scenarios.domain.web_words import find_invalid_words
from scenarios.models.fields import DNS_LABEL

HEALTH_PATH = RegexValidator(
    r"^/(?!/)[!-~]*\Z", "Start the path with one '/' and use no spaces, as in '/health'."
)
DEFAULT_HEALTH_PATH = "/health"
DEFAULT_PROXY_SECRET = "FAULT_PROXY_TOKEN"  # noqa: S105 - the name of a secret
# People who may change services choose where the secret is sent, so it must not have another purpose.
PROXY_SECRET = RegexValidator(
    r"\AFAULT_PROXY[A-Za-z0-9_-]{0,52}\Z",
    "Begin the name with 'FAULT_PROXY', and use letters, digits, '_' and '-', as in 'FAULT_PROXY_TOKEN'.",
)


# For the same reason.
SECRET_PREFIX = "SERVICE"  # noqa: S105 - of the names of secrets


def check_base_url(text: str) -> None:
    try:
        service_urls.parse_service_url(text)
    except ValueError as error:
        raise ValidationError(f"{error}.") from None


def check_proxy_url(text: str) -> None:
    try:
        service_urls.parse_service_url(text, service_urls.WEB_SCHEMES)
    except ValueError as error:
        raise ValidationError(f"{error}.") from None


def check_listener(text: str) -> None:
    try:
        service_urls.parse_listener(text)
    except ValueError as error:
        raise ValidationError(f"{error}.") from None


def check_tls(value: Any) -> None:
    if value and (problem := find_invalid_words("tls", value, SECRET_PREFIX)):
        raise ValidationError(f"{problem}.")


def check_auth(value: Any) -> None:
    if value and (problem := find_invalid_words("auth", value, SECRET_PREFIX)):
        raise ValidationError(f"{problem}.")


class Service(models.Model):
    """A service that scenarios act on, by name."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    base_url = models.CharField(
        verbose_name="base URL",
        max_length=500,
        validators=[check_base_url],
        help_text=(
            "For example http://127.0.0.1:9101, to which paths in steps are appended; or tcp://, "
            "postgres://, redis:// or grpc:// with host and port."
        ),
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
    # With defaults in the database, for processes of an earlier version, which know none of them.
    proxy = models.CharField(
        "fault proxy",
        max_length=500,
        blank=True,
        default="",
        db_default="",
        validators=[check_proxy_url],
        help_text="The control API of the fault proxy in front of the service, such as http://127.0.0.1:8474.",
    )
    proxy_listener = models.CharField(
        max_length=300,
        blank=True,
        default="",
        db_default="",
        validators=[check_listener],
        help_text="The proxy's listener for this service, as HOST:PORT. Leave empty if it has only one.",
    )
    proxy_secret = models.CharField(
        max_length=63,
        blank=True,
        default=DEFAULT_PROXY_SECRET,
        db_default=DEFAULT_PROXY_SECRET,
        validators=[PROXY_SECRET],
        help_text="The name of the secret with the proxy's token. It begins with FAULT_PROXY.",
    )
    # Nullable, for processes of an earlier version, which know neither.
    tls = models.JSONField(
        "TLS",
        null=True,
        blank=True,
        validators=[check_tls],
        help_text='For steps without "tls" of their own, for example {"ca": "shop-ca.pem"}.',
    )
    auth = models.JSONField(
        "credentials",
        null=True,
        blank=True,
        validators=[check_auth],
        help_text=(
            'For steps without "auth" of their own, for example {"bearer": "${secret:SERVICE_SHOP}"}. '
            "The names of the secrets begin with SERVICE."
        ),
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
        self.tls, self.auth = self.tls or None, self.auth or None
        super().save(*arguments, **named)

    @property
    def is_web(self) -> bool:
        """Whether it speaks HTTP, so that it has paths and a status."""
        return self.base_url.partition("://")[0].lower() in service_urls.WEB_SCHEMES

    def clean(self) -> None:
        self.proxy_secret = self.proxy_secret or DEFAULT_PROXY_SECRET
        if self.proxy_listener and not self.proxy:
            raise ValidationError({"proxy_listener": "A listener needs the fault proxy that has it."})
