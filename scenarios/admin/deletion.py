"""Rows that are deleted by the function that the API calls too; its refusal is told on the page."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from scenarios.domain.errors import ScenarioError


class DeletedByServiceAdmin(admin.ModelAdmin):
    """Of several that are selected all are deleted, or none."""

    def take_away(self, row: Any) -> None:
        """Raises ScenarioError where it cannot be deleted now."""
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self.take_away(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.take_away(row)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ScenarioError as error:
            return self.refused(request, error, "../change/")

    def response_action(  # type: ignore[override] # the stubs are of a later Django, which tells the place too
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        try:
            with transaction.atomic():  # with what the log says of them
                return super().response_action(request, queryset)
        except ScenarioError as error:
            return self.refused(request, error, request.get_full_path())

    def refused(self, request: HttpRequest, error: ScenarioError, address: str) -> HttpResponse:
        self.message_user(request, f"Nothing was deleted. {error}", messages.ERROR)
        return HttpResponseRedirect(address)
