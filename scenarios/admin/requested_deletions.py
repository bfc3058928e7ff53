"""Rows that the watchdog deletes if many others refer to them: their pages show how far it is."""

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.text import capfirst

from scenarios.domain.counts import format_count
from scenarios.models import DeletionRequest
from scenarios.runs import deletion_requests
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

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """For the page that asks: without the rows that refer to one with many, which would fill it."""
        rows = list(objs)
        counts = [deletion_requests.count_references(row) for row in rows]
        if max(counts, default=0) <= deletion_requests.MAX_AT_ONCE:
            return super().get_deleted_objects(rows, request)
        name = self.opts.verbose_name
        found = [f"{capfirst(name)}: {row}, and what belongs to it ({count} rows refer to it)"
                 for row, count in zip(rows, counts, strict=True)]  # fmt: skip
        lacking = {str(name) for row in rows if not self.has_delete_permission(request, row)}
        return found, {str(self.opts.verbose_name_plural): len(rows)}, lacking, []

    def response_delete(self, request: HttpRequest, obj_display: str, obj_id: Any) -> HttpResponse:
        if not self._show_requested(request, [obj_id]):
            return super().response_delete(request, obj_display, obj_id)
        return HttpResponseRedirect(self._address("changelist"))

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

    def _address(self, name: str, *arguments: Any) -> str:
        meta = self.opts
        return reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=arguments)

    def _describe(self, request: HttpRequest, requests: QuerySet[DeletionRequest]) -> dict[str, Any]:
        """What the templates of a list and of a row's page show."""
        if not (deletions := list(requests)):
            return {}
        may_keep = self.has_delete_permission(request)
        rows = [(row, self._address("keep", row.owner.pk) if may_keep else "") for row in deletions]
        return {"deletions": rows, "no_watchdog": readiness.find_problem(readiness.watchdog)}

    def _show_progress(
        self, request: HttpRequest, context: dict[str, Any], key: Any = None
    ) -> HttpResponse | None:
        """The part of the page that asks for itself again and again, until it tells the end.

        It belongs to the page of the row with this key, or to the list.
        """
        if "HX-Request" not in request.headers:
            return None
        if not self.has_view_permission(request):
            raise PermissionDenied
        if context:
            return TemplateResponse(request, "scenarios/deletions.html", context)
        over = {
            "is_list": key is None,
            "row": self.get_queryset(request).filter(pk=key).first(),
            "list_address": self._address("changelist"),
        }
        return TemplateResponse(request, "scenarios/deletions_over.html", over)

    # Withdrawing

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_keep"
        view = self.admin_site.admin_view(self.keep_view)
        return [path("<int:pk>/keep/", view, name=name), *super().get_urls()]

    def keep_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        if request.method != "POST" or not self.has_delete_permission(request):
            raise PermissionDenied
        row = self.get_queryset(request).filter(pk=pk).first()
        withdrawn = row and deletion_requests.withdraw_deletion(row)
        if row is None or not self.get_queryset(request).filter(pk=pk).exists():
            self.message_user(
                request, "It is deleted already, and cannot be kept any more.", messages.WARNING
            )
            return HttpResponseRedirect(self._address("changelist"))
        if withdrawn:
            self.log_change(request, row, "Deletion withdrawn.")
            self.message_user(request, f"“{row}” is kept. {explain_loss(withdrawn)}", messages.SUCCESS)
        else:
            self.message_user(request, f"“{row}” is not being deleted.", messages.WARNING)
        return HttpResponseRedirect(self._address("change", pk))

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = self._describe(request, self._select_deletions())
        if (progress := self._show_progress(request, context)) is not None:
            return progress
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        key = object_id if object_id and object_id.isdecimal() else 0
        context = self._describe(request, self._select_deletions().filter(**{self.deletion_field: key}))
        if (progress := self._show_progress(request, context, key)) is not None:
            return progress
        return super().changeform_view(request, object_id, form_url, {**context, **(extra_context or {})})


def explain_loss(withdrawn: DeletionRequest) -> str:
    """What of a deletion stays as it is although the deletion was withdrawn, as a sentence."""
    if not withdrawn.done:
        return "Nothing was changed yet."
    rows, verb = format_count(withdrawn.done, "row"), "does" if withdrawn.done == 1 else "do"
    return f"{rows} that referred to it {verb} so no longer, and this stays so."
