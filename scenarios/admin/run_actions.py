"""What a person does with several runs at once: compare two, and delete them."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.pages import address
from scenarios.models import Run
from scenarios.runs import deletion

BOTH = 2


class RunActions(DeletedByServiceAdmin):
    actions = ("compare_selected",)

    @admin.action(description="Compare the two selected runs", permissions=["view"])
    def compare_selected(self, request: HttpRequest, queryset: QuerySet[Run]) -> HttpResponse | None:
        """The newer one beside the older one."""
        runs = list(queryset.order_by("-queued_at", "-pk")[: BOTH + 1])
        problem = ""
        if len(runs) != BOTH:
            problem = "Select exactly two runs to compare."
        elif runs[0].scenario_id is None or runs[0].scenario_id != runs[1].scenario_id:
            problem = "Only two runs of the same stored scenario can be compared."
        if problem:
            self.message_user(request, problem, messages.WARNING)
            return None
        return HttpResponseRedirect(f"{address(runs[0], 'compare')}?with={runs[1].pk}")

    # Deleting

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("scenarios.delete_run")

    def find_obstacles(self, rows: Sequence[Run]) -> dict[Any, str]:
        return dict(deletion.find_obstacles(rows))

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """The runs alone: listing their events would read thousands."""
        rows = [str(run) for run in objs]
        return rows, {"runs, with their events, faults and charts": len(rows)}, set(), []

    def delete_row(self, row: Run, *, by: User) -> None:
        deletion.delete_runs([row.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> None:
        deletion.delete_runs(list(queryset.values_list("pk", flat=True)))
