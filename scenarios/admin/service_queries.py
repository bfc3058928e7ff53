"""The chart queries on the page of a service."""

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from scenarios.charts.check import find_refusal
from scenarios.charts.kept import Chart
from scenarios.charts.query_presets import PRESETS, Preset
from scenarios.charts.trial import try_query
from scenarios.domain.units import Unit
from scenarios.models import ServiceQuery
from scenarios.pictures.trial_chart import describe_range, draw_trial_chart

NO_SERVER = "No Prometheus is configured: an administrator can set PROMETHEUS_URL."
NO_SAMPLES = "Prometheus has no samples of it in the last 30 minutes. Is the label right?"
_NAME_OF_QUERY = re.compile(r"queries-(?:\d{1,4}|__prefix__)-query")


class QueryWidget(forms.Textarea):
    """With a button that shows the curve of the query."""

    template_name = "scenarios/query_field.html"


class QueryForm(forms.ModelForm):
    class Meta:
        model = ServiceQuery
        fields = ("title", "query", "unit")
        widgets = {"query": QueryWidget(attrs={"rows": 3, "cols": 70, "spellcheck": "false"})}

    def has_changed(self) -> bool:
        """An emptied form with only a unit does not count as a new query."""
        return super().has_changed() and self.changed_data != ["unit"]

    def clean_query(self) -> str:
        query = str(self.cleaned_data["query"])
        if "query" in self.changed_data and (sentence := find_refusal(query)):
            raise ValidationError(sentence)
        return query


class QueryFormSet(forms.BaseInlineFormSet):
    """Starts with the queries of a preset; for a new service, with those of this project's metrics."""

    preset: Preset | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.preset is not None and not self.is_bound:
            self.initial_extra = list_fields(self.preset)


class QueriesInline(admin.StackedInline):
    """People who may change a service may change its queries."""

    model = ServiceQuery
    form = QueryForm
    formset = QueryFormSet

    def get_extra(self, request: HttpRequest, obj: Any = None, **_named: Any) -> int:
        preset = find_preset(request, obj)
        return len(preset.queries) if preset is not None else 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **named: Any) -> Any:
        formset: Any = super().get_formset(request, obj, **named)
        formset.preset = find_preset(request, obj)
        return formset

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scenarios.view_service") or self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perms(
            ["scenarios.add_service" if obj is None else "scenarios.change_service"]
        )

    has_add_permission = has_delete_permission = has_change_permission


def find_preset(request: HttpRequest, service: Any) -> Preset | None:
    """The one that the address names; for a new service, that of this project's metrics."""
    return PRESETS.get(request.GET.get("preset", "coordinator" if service is None else ""))


def list_fields(preset: Preset) -> list[dict[str, str]]:
    return [{"title": title, "query": query, "unit": unit.value} for title, query, unit in preset.queries]


def try_sent_query(fields: Mapping[str, str]) -> dict[str, Any]:
    """The result of the one query that the form sends."""
    name = next((name for name in fields if _NAME_OF_QUERY.fullmatch(name)), "")
    query = fields.get(name, "").replace("\0", "").strip()
    if not query:
        return {"problem": "Write a query first."}
    if not settings.PROMETHEUS_URL:
        return {"problem": NO_SERVER}
    unit = fields.get(name.replace("-query", "-unit"), "")
    title = fields.get(name.replace("-query", "-title"), "").strip() or "The query"
    service = fields.get("name", "").strip() or "some-service"
    chart = try_query(service, title, query, Unit(unit) if unit in set(Unit) else Unit.NUMBER)
    return describe_trial(chart)


def describe_trial(chart: Chart) -> dict[str, Any]:
    if chart.problem:
        return {"problem": chart.problem}
    if not chart.has_samples:
        return {"problem": NO_SAMPLES}
    return {"chart": chart, "picture": draw_trial_chart(chart), "range": describe_range(chart)}
