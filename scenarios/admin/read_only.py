"""Rows that no form changes."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from scenarios.admin.pages import PageAdmin


class ReadOnlyAdmin(PageAdmin):
    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class WithoutFormAdmin(ReadOnlyAdmin):
    """The row's page is `change_form_template` alone, without the form that Django puts there."""

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.find_visible(request, object_id)
        context = {"title": str(row), **self.page_context(request, row), **(extra_context or {})}
        return self.render(request, str(self.change_form_template), **context)
