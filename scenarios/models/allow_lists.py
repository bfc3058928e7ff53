"""What people have narrowed the allow lists of the settings to."""

from django.db import models

from scenarios.domain.allow_lists import ListName


class AllowList(models.Model):
    """One row for each list that somebody has changed; without a row, the settings alone decide."""

    name = models.CharField(max_length=40, primary_key=True, choices=[(name, name) for name in ListName])
    entries = models.JSONField(null=True, help_text="None: all that the settings allow.")
    changed_at = models.DateTimeField(null=True)
    changed_by = models.CharField(max_length=150, blank=True)

    class Meta:
        ordering = ["name"]
        default_permissions = ("view", "change")

    def __str__(self) -> str:
        return str(self.name)
