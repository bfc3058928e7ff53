"""Filters of the control room's lists that people have saved under a name."""

from django.conf import settings
from django.db import models

MAX_QUERY_LENGTH = 2000


class SavedFilter(models.Model):
    """The query string of a list. The owner sees it above the list; everybody does if it is shared."""

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="saved_filters")
    page = models.CharField(max_length=40, help_text="The name of the list's model, such as 'run'.")
    name = models.CharField(max_length=60)
    query = models.CharField(max_length=MAX_QUERY_LENGTH)
    is_shared = models.BooleanField(default=False)

    class Meta:
        ordering = ["name", "pk"]
        default_permissions = ()
        constraints = [
            models.UniqueConstraint(fields=["owner", "page", "name"], name="saved_filter_name_unique")
        ]

    def __str__(self) -> str:
        return self.name
