"""Rows that are deleted by the function that the API calls too; the page shows why it refuses."""

from collections.abc import Sequence
from typing import Any, cast

from django.contrib import messages
from django.contrib.admin.actions import delete_selected
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from scenarios.admin.pages import PageAdmin
from scenarios.domain.errors import ScenarioError

# What one request can do in a few seconds, and fewer fields than Django accepts in a form.
MAX_SELECTED = 200
GONE = "Nothing was changed: the selected rows are no longer in this list."


class DeletedByServiceAdmin(PageAdmin):
    """Deletes either all of the selected rows or none.

    The page that asks for a confirmation leaves out rows that cannot be deleted now, and says why.
    """

    def delete_row(self, row: Any, *, by: User) -> None:
        """Raises ScenarioError when the row cannot be deleted now."""
        raise NotImplementedError

    def find_obstacles(self, rows: Sequence[Any]) -> dict[Any, str]:
        """By primary key, why the row cannot be deleted now, as the end of a sentence."""
        return {}

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

    def get_actions(self, request: HttpRequest) -> Any:
        found: dict[str, Any] = super().get_actions(request)
        if "delete_selected" in found:
            found["delete_selected"] = (type(self).delete_selected_rows, *found["delete_selected"][1:])
        return found

    def delete_selected_rows(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Django's own action, for rows that can be deleted."""
        if refuse_many(self, request, queryset):
            return None
        if "post" in request.POST:
            try:
                with transaction.atomic():  # the rows together with their log entries
                    return delete_selected(self, request, queryset)
            except ScenarioError as error:
                return self._refuse(request, error, request.get_full_path())
        rows = list(queryset)
        obstacles = self.find_obstacles(rows)
        held = [(row, obstacles[row.pk]) for row in rows if row.pk in obstacles]
        if len(held) == len(rows):
            sentences = [f"Nothing was deleted. {row}: {sentence}." for row, sentence in held]
            self.show_each(request, sentences or [GONE], messages.ERROR)
            return None
        response = delete_selected(self, request, queryset.exclude(pk__in=list(obstacles)))
        if isinstance(response, TemplateResponse):
            response.context_data = {**(response.context_data or {}), "held": held}
        return response

    def _refuse(self, request: HttpRequest, error: ScenarioError, address: str) -> HttpResponse:
        self.message_user(request, f"Nothing was deleted. {error}", messages.ERROR)
        return HttpResponseRedirect(address)


def refuse_many(
    pages: PageAdmin, request: HttpRequest, queryset: QuerySet[Any], limit: int = MAX_SELECTED
) -> bool:
    """Whether more rows are selected than one action may change; a message then says so."""
    count = queryset.count()
    if count <= limit:
        return False
    rows = pages.opts.verbose_name_plural
    sentence = f"Nothing was changed: {count} {rows} are selected; at most {limit} can be changed at once."
    pages.message_user(request, f"{sentence} Narrow the list down with search and filters.", messages.ERROR)
    return True
