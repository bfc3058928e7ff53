"""The ledger of faults, and what a person can do about the outstanding ones."""

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest

from scenarios import services
from scenarios.admin.read_only import ReadOnlyAdmin
from scenarios.models import Fault


@admin.register(Fault)
class FaultAdmin(ReadOnlyAdmin):
    list_display = [
        "action",
        "run",
        "service",
        "driver",
        "state",
        "opened_at",
        "closed_at",
        "undo_tries",
        "reason",
    ]
    list_filter = ["state", "driver", "service"]
    list_select_related = ["run"]
    actions = ["try_again"]

    @admin.action(description="Try the undo again now", permissions=["view"])
    def try_again(self, request: HttpRequest, queryset: QuerySet[Fault]) -> None:
        if not request.user.has_perm("scenarios.stop_run"):
            raise PermissionDenied
        count = services.retry_undo(queryset)
        self.message_user(
            request, f"{count} outstanding faults are due: the watchdog tries them within a second."
        )
