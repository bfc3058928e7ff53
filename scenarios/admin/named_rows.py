"""Names of rows as suggestions, while somebody types."""

from collections.abc import Iterable
from itertools import islice

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from scenarios.admin.pages import PageAdmin, page

MAX_SUGGESTIONS = 20


class NamedRowsAdmin(PageAdmin):
    @page("names/")
    def names_page(self, request: HttpRequest) -> HttpResponse:
        """Names that contain what was typed, as the options of a list."""
        rows = self.get_queryset(request).filter(name__icontains=read_typed_text(request)).order_by("name")
        return show_suggestions(request, rows.values_list("name", flat=True)[:MAX_SUGGESTIONS])


def read_typed_text(request: HttpRequest) -> str:
    """The value of the parameter that `of` names; no database stores a NUL."""
    return request.GET.get(request.GET.get("of", ""), "").replace("\0", "").strip()[:200]


def show_suggestions(request: HttpRequest, names: Iterable[str]) -> HttpResponse:
    context = {"names": list(islice(names, MAX_SUGGESTIONS))}
    return TemplateResponse(request, "scenarios/name_options.html", context)
