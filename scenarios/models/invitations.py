"""Invitations of people who have no account yet."""

import uuid

from django.db import models
from django.utils import timezone

OPEN = "open"


class Invitation(models.Model):
    """Lets one person make an account. Names are kept as text: they outlive accounts and groups.

    The link is signed and not stored.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    email = models.EmailField("e-mail", blank=True, help_text="Leave empty to pass on the link yourself.")
    groups = models.JSONField(default=list)
    invited_by = models.CharField(max_length=150)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, editable=False)
    accepted_at = models.DateTimeField(null=True, editable=False)
    accepted_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["-created_at"]
        default_permissions = ()

    def __str__(self) -> str:
        return self.email or f"invitation {str(self.id)[:8]}"

    @property
    def state(self) -> str:
        if self.accepted_at is not None:
            return f"accepted by {self.accepted_by}"
        if self.withdrawn_at is not None:
            return "withdrawn"
        return OPEN if self.expires_at > timezone.now() else "expired"
