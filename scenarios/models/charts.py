"""Queries of services, and what they measured around a run."""

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils import timezone

from scenarios.domain import promql
from scenarios.domain.units import Unit
from scenarios.models.fields import build_choices


def placeholders_known(query: str) -> None:
    try:
        promql.check_placeholders(query)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class ServiceQuery(models.Model):
    """A PromQL query for a chart of every run on the service."""

    service = models.ForeignKey("scenarios.Service", models.CASCADE, related_name="queries")
    title = models.CharField(max_length=80)
    query = models.TextField(
        max_length=promql.MAX_QUERY_LENGTH,
        validators=[MaxLengthValidator(promql.MAX_QUERY_LENGTH), placeholders_known],
        help_text="PromQL. $service is the name of the service, $window a suitable range for rate(…).",
    )
    unit = models.CharField(max_length=20, choices=build_choices(Unit), default=Unit.NUMBER)

    class Meta:
        ordering = ["id"]
        verbose_name = "chart query"
        verbose_name_plural = "chart queries"

    def __str__(self) -> str:
        return self.title


class RunCharts(models.Model):
    """What Prometheus measured around a run, as `charts.kept.Charts`; `due_at` is the next time to read it.

    A watchdog first claims the row until `taken_until`, so that only one reads it and another takes over if
    it dies.
    """

    run = models.OneToOneField("scenarios.Run", models.CASCADE, primary_key=True, related_name="charts")
    content = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=0, help_text="Incremented with each reading.")
    read_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, default=timezone.now, db_index=True)
    taken_until = models.DateTimeField(null=True, blank=True)
    saw_end = models.BooleanField(
        default=False, help_text="Whether the charts were read after the end of the run."
    )

    def __str__(self) -> str:
        return f"charts of {self.run}"
