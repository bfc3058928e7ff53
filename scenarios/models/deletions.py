"""Deletions that take longer than a request."""

from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from scenarios.models.planning import Schedule
from scenarios.models.scenarios import Scenario
from scenarios.models.webhooks import Webhook

if TYPE_CHECKING:
    from django.contrib.auth.models import User


KINDS = ("scenario", "person", "schedule", "webhook")


def build_condition() -> Q:
    """Exactly one of the fields refers to something."""
    condition = Q()
    for kind in KINDS:
        condition |= Q(**{f"{other}__isnull": other != kind for other in KINDS})
    return condition


class DeletionRequest(models.Model):
    """A scenario, person, schedule or webhook to which many rows refer. The watchdog deletes it in small
    steps; this row goes with it. Meanwhile nobody can use it.
    """

    scenario = models.OneToOneField(Scenario, models.CASCADE, null=True, related_name="deletion")
    person = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="deletion"
    )
    schedule = models.OneToOneField(Schedule, models.CASCADE, null=True, related_name="deletion")
    webhook = models.OneToOneField(Webhook, models.CASCADE, null=True, related_name="deletion")
    requested_at = models.DateTimeField(default=timezone.now)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    requested_by_name = models.CharField(max_length=150, help_text="Outlives the account.")
    total = models.PositiveIntegerField(help_text="How many rows referred to it when this was requested.")
    left = models.PositiveIntegerField(help_text="How many of them still do.")
    obstacle = models.CharField(max_length=500, blank=True, help_text="What keeps it from being deleted now.")
    was_active = models.BooleanField(
        default=False,
        help_text="Whether the person could log in, the schedule was not paused, or the webhook was enabled.",
    )

    class Meta:
        ordering = ["pk"]
        default_permissions = ()
        constraints = [models.CheckConstraint(name="deletion_of_one_thing", condition=build_condition())]

    def __str__(self) -> str:
        return f"the deletion of {self.name!r}"

    @property
    def kind(self) -> str:
        """The name of the field that says what is deleted."""
        return next(kind for kind in KINDS if getattr(self, f"{kind}_id") is not None)

    @property
    def owner(self) -> "Scenario | User | Schedule | Webhook":
        """What is deleted."""
        found: Scenario | User | Schedule | Webhook = getattr(self, self.kind)
        return found

    @property
    def name(self) -> str:
        return str(self.owner)

    @property
    def done(self) -> int:
        """How many rows no longer refer to it."""
        return max(self.total - self.left, 0)
