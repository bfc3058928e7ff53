"""Audit: who did what, when, and from where; as a list and as a file."""

import csv
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from scenarios.admin.pages import page
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.models import AuditEntry

COLUMNS: Any = ["at", "who", "action", "target", "detail", "result", "entrance", "client"]
EXPORTED: Any = [*COLUMNS, "request_id"]
# A spreadsheet would carry out a cell that begins with one of these.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = COLUMNS
    search_fields = ["who", "action", "target"]
    date_hierarchy = "at"
    list_per_page = 50
    show_full_result_count = False
    fields = EXPORTED
    change_list_template = "admin/scenarios/auditentry/change_list.html"

    @page("export/")
    def export_page(self, request: HttpRequest) -> HttpResponse:
        """What the list shows with the same filters, as CSV, the newest first."""
        rows = self.get_changelist_instance(request).get_queryset(request)
        lines = csv.writer(_Line())
        content = (lines.writerow(cells) for cells in _list_cells(rows))
        response = StreamingHttpResponse(content, content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="audit.csv"'
        return response  # type: ignore[return-value] # what a view may return, too


class _Line:
    """A file for `csv.writer`, whose `writerow` then returns the line."""

    def write(self, line: str) -> str:
        return line


def _list_cells(rows: Any) -> Iterator[list[str]]:
    yield EXPORTED
    for row in rows.values_list(*EXPORTED).iterator(chunk_size=1000):
        at, *texts = row
        yield [at.isoformat(), *(f"'{text}" if text.startswith(FORMULA_STARTS) else text for text in texts)]
