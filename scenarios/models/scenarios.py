"""Stored scenarios, with their versions."""

from django.conf import settings
from django.db import models
from simple_history.models import HistoricalRecords

from scenarios.models.fields import DNS_LABEL


def author_of(instance: "Scenario", **_named: object) -> object:
    return instance.changed_by


class Scenario(models.Model):
    """A document that has passed validation. `name`, `title` and `tags` are the document's own."""

    name = models.CharField(max_length=63, unique=True, validators=[DNS_LABEL])
    title = models.CharField(max_length=200, blank=True)
    description = models.TextField(blank=True)
    tags = models.JSONField(default=list, blank=True)
    document = models.TextField()
    created_at = models.DateTimeField(auto_now_add=True)
    changed_at = models.DateTimeField(auto_now=True)
    changed_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True)

    # Whoever changed it is named by the row itself: a change may come from the command line too.
    history = HistoricalRecords(
        excluded_fields=["created_at", "changed_at", "changed_by"], get_user=author_of
    )

    class Meta:
        ordering = ["name"]
        permissions = [("run_scenario", "Can run a scenario")]

    def __str__(self) -> str:
        return self.name
