"""API tokens, and stored responses to writes with an Idempotency-Key."""

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.module_loading import import_string

VALID = "valid"


class ApiToken(models.Model):
    """Gives a program some of a person's permissions. The secret itself is not stored."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100, help_text="What the token is for, such as 'nightly build'.")
    # The secret has 256 random bits, so a salt or a slow hash would not make it harder to guess.
    digest = models.CharField(max_length=64, unique=True, editable=False)
    beginning = models.CharField(
        max_length=16, editable=False, help_text="Its first characters, to recognize it."
    )
    scopes = models.JSONField(default=list)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}…)"

    def owner_may_use_it(self) -> bool:
        """Whether the owner's permissions are still confirmed: see API_TOKEN_OWNER_CHECK."""
        check: Callable[[Any], bool] = import_string(settings.API_TOKEN_OWNER_CHECK)
        return check(self.owner)

    @property
    def state(self) -> str:
        if self.revoked_at is not None:
            return "revoked"
        if self.expires_at is not None and self.expires_at <= timezone.now():
            return "expired"
        if not self.owner.is_active:
            return "owner deactivated"
        return VALID if self.owner_may_use_it() else "waiting for its owner's next login"


class KeptAnswer(models.Model):
    """The response to a write with an Idempotency-Key; stored in the transaction of the write."""

    caller = models.CharField(max_length=40, help_text="Who sent the key: 'token 5' or 'user 3'.")
    key = models.CharField(max_length=255)
    request = models.CharField(max_length=64, help_text="SHA-256 of method, address and body.")
    status = models.PositiveSmallIntegerField(default=0)
    headers = models.JSONField(default=dict)
    body = models.BinaryField(default=bytes)
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["caller", "key"], name="kept_answer_key_unique")]

    def __str__(self) -> str:
        return f"{self.status} for {self.key!r} of {self.caller}"
