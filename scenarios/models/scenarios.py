"""Stored scenarios, with their versions."""

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from scenarios.models.fields import DNS_LABEL


def get_author(instance: "Scenario", **_named: object) -> object:
    return instance.changed_by


class Scenario(models.Model):
    """A valid document. `name`, `title`, `description` and `tags` are copies from it."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    document = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    # The row itself names who changed it, because a change may come from the command line.
    history = HistoricalRecords(
        excluded_fields=["created_at", "changed_at", "changed_by"], get_user=get_author
    )

    class Meta:
        ordering = ["name"]
        permissions = [("run_scenario", "Can run a scenario")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_being_deleted(self) -> bool:
        """No query if the row was read with its `deletion`."""
        return hasattr(self, "deletion")
