"""Rows that the watchdog deletes if many others refer to them: their pages show how far it is."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from scenarios.models import DeletionRequest
from scenarios.supervision import readiness


class RequestedDeletionsAdmin(admin.ModelAdmin):
    """`deletion_field` is the field of DeletionRequest that refers to these rows."""

    deletion_field = ""

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("deletion")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not hasattr(obj, "deletion") and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return not hasattr(obj, "deletion") and super().has_delete_permission(request, obj)

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        if not self._show_requested(request, [obj_id]):
            return super().response_delete(request, obj_display, obj_id)
        return HttpResponseRedirect(reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist"))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        keys = list(queryset.values_list("pk", flat=True))
        for row in queryset:
            self.delete_model(request, row)
        self._show_requested(request, keys)

    def _show_requested(self, request: HttpRequest, keys: list[Any]) -> bool:
        """Say which of the rows the watchdog deletes; False if there are none."""
        found = self._select_deletions().filter(**{f"{self.deletion_field}__in": keys})
        names = [f"“{deletion.name}”" for deletion in found]
        if names:
            sentence = f"Many rows refer to {', '.join(names)}: the watchdog deletes what refers to it first."
            self.message_user(request, sentence, messages.WARNING)
        return bool(names)

    def _select_deletions(self) -> QuerySet[DeletionRequest]:
        of_these = DeletionRequest.objects.exclude(**{self.deletion_field: None})
        return of_these.select_related(self.deletion_field)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = describe_deletions(self._select_deletions())
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        key = object_id if object_id and object_id.isdecimal() else 0
        context = describe_deletions(self._select_deletions().filter(**{self.deletion_field: key}))
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})


def describe_deletions(requests: QuerySet[DeletionRequest]) -> dict[str, Any]:
    """What the templates of a list and of a row's page show."""
    if not (deletions := list(requests)):
        return {}
    return {"deletions": deletions, "no_watchdog": readiness.find_problem(readiness.watchdog)}
