"""The chart queries on the page of a service."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from scenarios.charts.check import find_refusal
from scenarios.charts.service_queries import DEFAULTS
from scenarios.models import ServiceQuery


class QueryForm(forms.ModelForm):
    class Meta:
        model = ServiceQuery
        fields = ("title", "query", "unit")
        widgets = {"query": forms.Textarea(attrs={"rows": 3, "cols": 70, "spellcheck": "false"})}

    def has_changed(self) -> bool:
        """An emptied form with only a unit does not count as a new query."""
        return super().has_changed() and self.changed_data != ["unit"]

    def clean_query(self) -> str:
        query = str(self.cleaned_data["query"])
        if "query" in self.changed_data and (sentence := find_refusal(query)):
            raise ValidationError(sentence)
        return query


class QueryFormSet(forms.BaseInlineFormSet):
    """A new service starts with queries for the metrics of this project."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        if self.instance.pk is None and not self.is_bound:
            self.initial_extra = [
                {"title": title, "query": query, "unit": unit} for title, query, unit in DEFAULTS
            ]


class QueriesInline(admin.StackedInline):
    """People who may change a service may change its queries."""

    model = ServiceQuery
    form = QueryForm
    formset = QueryFormSet

    def get_extra(self, request: HttpRequest, obj: Any = None, **_named: Any) -> int:
        return len(DEFAULTS) if obj is None else 0

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scenarios.view_service") or self.has_change_permission(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perms(
            ["scenarios.add_service" if obj is None else "scenarios.change_service"]
        )

    has_add_permission = has_delete_permission = has_change_permission
