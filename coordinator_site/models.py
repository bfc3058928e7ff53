"""A person's identity at the single sign-on provider."""

from django.conf import settings
from django.db import models


class Identity(models.Model):
    """Links a user to the provider's `sub`, the only identifier that it never reuses."""

    issuer = models.CharField(max_length=500)
    subject = models.CharField(max_length=255)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="identities")
    seen_at = models.DateTimeField(auto_now=True)
    entered_at = models.DateTimeField(null=True, blank=True, help_text="When the provider last let them in.")
    given_groups = models.JSONField(
        default=list, blank=True, help_text="Groups here that a group there gave at the last login."
    )

    class Meta:
        verbose_name_plural = "identities"
        constraints = [models.UniqueConstraint(fields=["issuer", "subject"], name="identity_unique")]

    def __str__(self) -> str:
        return f"{self.subject} at {self.issuer}"
