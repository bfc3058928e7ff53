"""The global stop, and when workers and watchdogs were last seen."""

from django.db import models


class GlobalStop(models.Model):
    """A single row. While the stop is pulled, no run starts; claiming a run locks this row first."""

    ONLY = 1

    pulled_at = models.DateTimeField(null=True, blank=True)
    pulled_by = models.CharField(max_length=200, blank=True)
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        permissions = [("pull_globalstop", "Can pull and release the global stop")]

    def __str__(self) -> str:
        return f"the global stop, pulled by {self.pulled_by} ({self.reason})"


class Heartbeat(models.Model):
    """When a part of the system last reported that it works; `name` is `watchdog` or `worker`."""

    name = models.CharField(max_length=40, primary_key=True)
    seen_at = models.DateTimeField()
    detail = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return f"{self.name} {self.seen_at:%H:%M:%S}"
