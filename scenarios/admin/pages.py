"""What the control room's pages share: their own pages and buttons, declared where they are written.

Django's admin asks for an entry in `get_urls`, a check of the permission, and a redirect in each view. Here a
decorator says it once:

    @page("<uuid:pk>/charts/")
    def charts_page(self, request, pk): ...

    @button("<uuid:pk>/stop/", permission="scenarios.stop_run")
    def stop(self, request, run): ...

The literal word in the route names the URL: `admin:scenarios_run_stop`.
"""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied, SuspiciousOperation, ValidationError
from django.db.models import DateTimeField, Model, QuerySet
from django.forms import Media
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst

from scenarios.admin.filtered_lists import (
    KnownFiltersList,
    NearerEndPaginator,
    UsableFiltersAdmin,
    describe_saved_filters,
    save_present_filter,
)
from scenarios.control_room.saved_filters import may_remove
from scenarios.domain.errors import ScenarioError
from scenarios.models import SavedFilter
from scenarios.pictures.moments import show_moment

MAX_MESSAGES = 10

Page = TypeVar("Page", bound=Callable[..., HttpResponse])


def page(route: str, *, permission: str = "view", post_only: bool = False) -> Callable[[Page], Page]:
    """Serve the function at the route, below the model's own address.

    Args:
        route: as for `django.urls.path`, with exactly one literal word.
        permission: a permission's full name, or a word such as "view" that stands for `has_view_permission`.
        post_only: refuse every other method.
    """

    def declare(function: Page) -> Page:
        @wraps(function)
        def view(self: "PageAdmin", request: HttpRequest, *arguments: Any, **named: Any) -> HttpResponse:
            if (post_only and request.method != "POST") or not self.permits(request, permission):
                raise PermissionDenied
            return function(self, request, *arguments, **named)

        view.route = route  # type: ignore[attr-defined] # read by get_urls
        return cast("Page", view)

    return declare


def button(
    route: str, *, permission: str
) -> Callable[[Callable[..., HttpResponse | None]], Callable[..., HttpResponse]]:
    """Call the function with the row that a POST names, then go back to the row's page.

    The function may return another response instead. A ScenarioError that it raises is shown as a message.
    The arguments are those of `page`.
    """

    def declare(function: Callable[..., HttpResponse | None]) -> Callable[..., HttpResponse]:
        @page(route, permission=permission, post_only=True)
        @wraps(function)
        def view(self: PageAdmin, request: HttpRequest, pk: Any, **named: Any) -> HttpResponse:
            row = get_object_or_404(self.get_queryset(request), pk=pk)
            response = None
            try:
                response = function(self, request, row, **named)
            except ScenarioError as error:
                self.message_user(request, str(error), messages.ERROR)
            return response or HttpResponseRedirect(address(row))

        return view

    return declare


def address(row: Model, name: str = "change") -> str:
    """The address of the row's page of this name."""
    meta = row._meta  # noqa: SLF001 - documented: https://docs.djangoproject.com/en/5.2/ref/models/meta/
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_{name}", args=[row.pk])


def link(row: Model) -> SafeString:
    return format_html('<a href="{}">{}</a>', address(row), row)


# 50 of 250 KiB of the editor's page, compressed.
FILLING_SCRIPTS = ("/urlify.js", "/prepopulate.js", "/xregexp.js", "/xregexp.min.js")


class PageAdmin(UsableFiltersAdmin):
    """A list and a page for each row, with the pages and buttons that its functions declare."""

    paginator = NearerEndPaginator
    # What to do where there are no rows yet, as a sentence.
    empty_hint = ""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._columns: dict[Any, Any] = {}

    @property
    def media(self) -> Media:
        """Django's scripts without those that fill in one field from another, which no form here does."""
        scripts: list[str] = super().media._js  # type: ignore[attr-defined]  # noqa: SLF001 - no public name
        return Media(js=[script for script in scripts if not script.endswith(FILLING_SCRIPTS)])

    # Hooks

    def add_to_rows(self, rows: list[Any]) -> None:
        """Give the rows of one page of the list what its columns show, in a few queries for all."""

    def page_context(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What the row's page shows beside its fields; `row` is None while one is added."""
        return {}

    # For pages

    def permits(self, request: HttpRequest, permission: str) -> bool:
        if "." in permission:
            return request.user.has_perm(permission)
        return bool(getattr(self, f"has_{permission}_permission")(request))

    def find_visible(self, request: HttpRequest, pk: object) -> Any:
        """The row, for those who may view it.

        Raises:
            Http404: there is no such row.
            PermissionDenied: this person may view none.
        """
        if not self.has_view_permission(request):
            raise PermissionDenied
        if (row := self.get_object(request, unquote(str(pk)))) is None:
            raise Http404(f"there is no {self.opts.verbose_name} {str(pk)!r}")
        return row

    def render(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        """A whole page of the control room."""
        shared = {**self.admin_site.each_context(request), "opts": self.opts, "title": title}
        return TemplateResponse(request, template, {**shared, **context})

    def show_each(self, request: HttpRequest, sentences: Sequence[str], level: int) -> None:
        """A message for each sentence, up to a number that a page has room for."""
        for sentence in sentences[:MAX_MESSAGES]:
            self.message_user(request, sentence, level)
        if (more := len(sentences) - MAX_MESSAGES) > 0:
            self.message_user(request, f"And {more} more.", level)

    # Django's own

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """The columns; moments as elements that a script shows in the reader's time zone."""
        return [self._get_column(name) for name in super().get_list_display(request)]

    def _get_column(self, name: Any) -> Any:
        """Always the same one for a name: Django compares them."""
        if name not in self._columns:
            self._columns[name] = self._build_column(name)
        return self._columns[name]

    def _build_column(self, name: Any) -> Any:
        fields = {field.name: field for field in self.opts.fields}
        if not isinstance(fields.get(name), DateTimeField):
            return name

        @admin.display(description=fields[name].verbose_name, ordering=name)
        def show(row: Model) -> str:
            return show_moment(getattr(row, name)) or "-"

        show.__name__ = name  # the class of the column's cells
        return show

    def _list_address(self) -> str:
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_changelist")

    def get_urls(self) -> list[URLPattern]:
        declared = [(name, getattr(type(self), name)) for name in dir(type(self))]
        own = [
            path(view.route, self.admin_site.admin_view(getattr(self, name)), name=self._url_name(view.route))
            for name, view in declared
            if hasattr(view, "route")
        ]
        return [*own, *super().get_urls()]

    def _url_name(self, route: str) -> str:
        (word,) = (part for part in route.split("/") if part and not part.startswith("<"))
        return f"{self.opts.app_label}_{self.opts.model_name}_{word}"

    def get_changelist(self, request: HttpRequest, **named: Any) -> type[KnownFiltersList]:
        return KnownFiltersList

    def get_sortable_by(self, request: HttpRequest) -> list[Any]:
        return [self._get_column(name) for name in super().get_sortable_by(request)]

    @page("save-filter/", post_only=True)
    def save_filter_page(self, request: HttpRequest) -> HttpResponse:
        query, problems = save_present_filter(request, str(self.opts.model_name))
        self.show_each(request, problems, messages.ERROR)
        return HttpResponseRedirect(f"{self._list_address()}?{query}")

    @page("<int:pk>/forget-filter/", post_only=True)
    def forget_filter_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        saved = get_object_or_404(SavedFilter, pk=pk, page=self.opts.model_name)
        if not may_remove(cast("User", request.user), saved):
            raise PermissionDenied
        saved.delete()
        return HttpResponseRedirect(self._list_address())

    def response_action(  # type: ignore[override] # the stubs are of a later Django, which passes the place too
        self, request: HttpRequest, queryset: QuerySet[Any]
    ) -> HttpResponse | None:
        key_field = self.opts.pk
        try:
            for key in request.POST.getlist(ACTION_CHECKBOX_NAME):
                key_field.to_python(key)
        except ValidationError as error:
            raise SuspiciousOperation(f"not a key of a row: {key[:80]!r}") from error
        return super().response_action(request, queryset)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        saved = describe_saved_filters(request, str(self.opts.model_name))
        context = {"title": capfirst(self.opts.verbose_name_plural), **saved, **(extra_context or {})}
        response = super().changelist_view(request, context)
        changes = getattr(response, "context_data", {}).get("cl")
        if changes is not None:
            changes.result_list = list(changes.result_list)
            self.add_to_rows(changes.result_list)
        return response

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        if not object_id and not self.has_add_permission(request):
            raise PermissionDenied  # before a page that needs a row is built without one
        row = self.get_object(request, unquote(object_id)) if object_id else None
        context = {**self.page_context(request, row), **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)
