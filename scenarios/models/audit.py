"""Who did what, when, and from where."""

from django.db import models
from django.utils import timezone


class AuditEntry(models.Model):
    """One request or command that changed something, or was refused. Names are kept as text: they outlive
    accounts and tokens.
    """

    at = models.DateTimeField(default=timezone.now, db_index=True)
    who = models.CharField(max_length=150, db_index=True)
    entrance = models.CharField(
        "through",
        max_length=120,
        help_text="The control room, the API with a token, a host's command line, or the watchdog.",
    )
    action = models.CharField(max_length=120)
    target = models.CharField(max_length=300, blank=True, help_text="The address, or the command's words.")
    result = models.CharField(max_length=40, help_text="'done', or how it was refused.")
    client = models.CharField("client address", max_length=64, blank=True, help_text="The client's address.")
    request_id = models.CharField(max_length=64, blank=True)
    detail = models.TextField(blank=True, help_text="What was there before and after, where that is kept.")

    class Meta:
        ordering = ["-pk"]
        verbose_name = "audit entry"
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.who}: {self.action}"
