"""What is stored for charts: the queries of services, and what was measured around a run.

models.py offers them with the others. Writes are in service_queries.py and charts/keeping.py.
"""

from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.utils import timezone

from scenarios.domain import promql
from scenarios.domain.units import Unit
from scenarios.models.fields import choices_of


def placeholders_known(query: str) -> None:
    try:
        promql.check_placeholders(query)
    except ValueError as error:
        raise ValidationError(str(error)) from error


class ServiceQuery(models.Model):
    """A query that the charts of every run on the service show."""

    service = models.ForeignKey("scenarios.Service", models.CASCADE, related_name="queries")
    title = models.CharField(max_length=80)
    query = models.TextField(
        max_length=promql.MAX_QUERY_LENGTH,
        validators=[MaxLengthValidator(promql.MAX_QUERY_LENGTH), placeholders_known],
        help_text="PromQL. $service is the service's name, $window a time that fits a rate(…).",
    )
    unit = models.CharField(max_length=20, choices=choices_of(Unit), default=Unit.NUMBER)

    class Meta:
        ordering = ["id"]
        verbose_name = "query for charts"
        verbose_name_plural = "queries for charts"

    def __str__(self) -> str:
        return self.title


class RunCharts(models.Model):
    """What Prometheus measured around a run, as `charts.kept.Charts`; read again while `due_at` says when.

    Whoever reads takes the row first, for a while: of two watchdogs one reads, and what one that died had
    taken is read by another.
    """

    run = models.OneToOneField("scenarios.Run", models.CASCADE, primary_key=True, related_name="charts")
    content = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=0, help_text="Grows with each reading.")
    read_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True, default=timezone.now, db_index=True)
    taken_until = models.DateTimeField(null=True, blank=True)
    saw_end = models.BooleanField(default=False, help_text="Whether they were read after the run's end.")

    def __str__(self) -> str:
        return f"charts of {self.run}"
