"""Schedules: written, paused, and what came of their due times."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.control_room import home_queries
from scenarios.control_room.forms import ScheduleForm, time_zones
from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.outcomes import DueOutcome
from scenarios.models import Schedule, ScheduledTime
from scenarios.pictures.badges import badge
from scenarios.pictures.words import moment_in_zone
from scenarios.planning import schedules

LAST_TIMES = 20
BADGES = {DueOutcome.STARTED: "passed", DueOutcome.SKIPPED: "aborted"}


@admin.register(Schedule)
class ScheduleAdmin(DeletedByServiceAdmin):
    form = ScheduleForm
    list_display = ["name", "next_time", "last_time", "in_words", "scenario_name", "changed_by"]
    list_filter = ["is_paused", "scenario_name"]
    list_select_related = ["changed_by"]
    search_fields = ["name", "scenario_name"]
    list_per_page = 50
    change_form_template = "admin/scenarios/schedule/change_form.html"
    fieldsets = (
        (None, {"fields": ["name", "scenario_name", "variables_text", "is_paused"]}),
        ("When", {"fields": ["cron", "time_zone", "grace_minutes", "priority"]}),
        (
            "Window in which its runs may start",
            {"fields": ["window_days", ("window_from", "window_to")]},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        newest = ScheduledTime.objects.filter(schedule=OuterRef("pk")).order_by("-due_at")
        rows: QuerySet[Schedule] = super().get_queryset(request)
        return rows.annotate(
            last_outcome=Subquery(newest.values("outcome")[:1]),
            last_reason=Subquery(newest.values("reason")[:1]),
        )

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return super().changelist_view(request, {"title": "Schedules", **(extra_context or {})})

    # Whoever writes a schedule answers for its runs, and must be one who may run.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and request.user.has_perm("scenarios.run_scenario")

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        may_change = super().has_change_permission(request, obj)
        return may_change and request.user.has_perm("scenarios.run_scenario")

    def get_fieldsets(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        # What the page tells in words above is not told again in numbers.
        return [(None, {"fields": ["given", "cron", "time_zone", "grace_minutes"]})]

    @admin.display(description="variables")
    def given(self, schedule: Schedule) -> str:
        return ", ".join(f"{name}={value}" for name, value in schedule.variables.items()) or "the defaults"

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, _needed, protected = super().get_deleted_objects(objs, request)
        # What is noted of a schedule goes with it, though nobody may delete that by itself.
        return found, counts, set(), protected

    @admin.display(description="due")
    def in_words(self, schedule: Schedule) -> str:
        return words_of(schedule)

    @admin.display(description="next", ordering="next_at")
    def next_time(self, schedule: Schedule) -> str:
        if schedule.is_paused:
            return badge("aborted", "paused")
        return moment_in_zone(schedule.next_at, schedule.time_zone) if schedule.next_at else "-"

    @admin.display(description="last")
    def last_time(self, schedule: Any) -> SafeString | str:
        if not schedule.last_outcome:
            return "-"
        word = badge(BADGES[DueOutcome(schedule.last_outcome)], schedule.last_outcome)
        return format_html('{} <span class="quiet">{}</span>', word, schedule.last_reason)

    def save_model(self, request: HttpRequest, obj: Schedule, form: Any, change: bool) -> None:
        schedules.save_schedule(obj, by=cast("User", request.user))

    def take_away(self, row: Schedule) -> None:
        schedules.delete_schedule(row)

    def get_urls(self) -> list[URLPattern]:
        pause = self.admin_site.admin_view(self.pause_view)
        return [path("<int:pk>/pause/", pause, name="scenarios_schedule_pause"), *super().get_urls()]

    def pause_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Pauses it, or lets it go on with `resume`."""
        schedule = get_object_or_404(Schedule, pk=pk)
        if request.method != "POST" or not self.has_change_permission(request, schedule):
            raise PermissionDenied
        paused = "resume" not in request.POST
        try:
            schedules.pause(schedule, paused=paused)
        except InvalidSchedule as error:
            self.message_user(request, str(error), "ERROR")
        else:
            done = "It is paused: no time is due." if paused else "It goes on from now."
            self.log_change(request, schedule, "Paused." if paused else "Resumed.")
            self.message_user(request, done)
        return HttpResponseRedirect(reverse("admin:scenarios_schedule_change", args=[pk]))

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        schedule = self.get_object(request, unquote(object_id)) if object_id else None
        more: dict[str, Any] = {"time_zones": time_zones(), "show_save_and_add_another": False}
        if schedule is not None:
            more |= beside(schedule)
            more["may_pause"] = self.has_change_permission(request, schedule)
        return super().changeform_view(request, object_id, form_url, {**(extra_context or {}), **more})


def beside(schedule: Schedule) -> dict[str, Any]:
    """The next times, what came of the last ones, and what keeps it from starting."""
    try:
        upcoming = schedules.upcoming(schedule)
    except InvalidSchedule as error:
        return {"problem": str(error)}
    noted = schedule.times.select_related("run").defer("run__document", "run__variables")
    return {
        "words": words_of(schedule),
        "upcoming": [] if schedule.is_paused else upcoming,
        "obstacle": schedules.obstacle_to(schedule),
        "scenario": home_queries.scenario_named(schedule.scenario_name),
        "approval": schedule.approvals.first(),
        "noted": [
            (time, badge(BADGES[DueOutcome(time.outcome)], time.outcome)) for time in noted[:LAST_TIMES]
        ],
    }


def words_of(schedule: Schedule) -> str:
    try:
        return schedule.timetable().in_words()
    except InvalidSchedule as error:
        return str(error)
