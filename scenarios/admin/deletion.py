"""Rows that are deleted by the function that the API calls too; the page shows why it refuses."""

from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from scenarios.admin.pages import PageAdmin
from scenarios.domain.errors import ScenarioError


class DeletedByServiceAdmin(PageAdmin):
    """Of several selected rows, either all are deleted or none."""

    def delete_row(self, row: Any, *, by: User) -> None:
        """Raises ScenarioError when the row cannot be deleted now."""
        raise NotImplementedError

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_row(obj, by=cast("User", request.user))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self.delete_model(request, row)

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        try:
            return super().delete_view(request, object_id, extra_context)
        except ScenarioError as error:
            return self._refuse(request, error, "../change/")

    def response_action(  # type: ignore[override] # the stubs are of a later Django, which passes the place too
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        try:
            with transaction.atomic():  # the rows together with their log entries
                return super().response_action(request, queryset)
        except ScenarioError as error:
            return self._refuse(request, error, request.get_full_path())

    def _refuse(self, request: HttpRequest, error: ScenarioError, address: str) -> HttpResponse:
        self.message_user(request, f"Nothing was deleted. {error}", messages.ERROR)
        return HttpResponseRedirect(address)
