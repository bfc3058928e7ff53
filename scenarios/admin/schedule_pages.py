"""Schedules: write and pause them, and see what happened at their due times."""

from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.models import User
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from scenarios.admin.deletion import DeletedByServiceAdmin
from scenarios.admin.named_rows import MAX_SUGGESTIONS, read_typed_text, show_suggestions
from scenarios.admin.pages import button, page
from scenarios.admin.requested_deletions import RequestedDeletionsAdmin
from scenarios.control_room import home_queries
from scenarios.control_room.schedule_forms import SUITE_PREFIX, ScheduleForm, time_zones
from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.outcomes import DueOutcome
from scenarios.models import Scenario, Schedule, ScheduledTime, Suite
from scenarios.pictures.badges import badge
from scenarios.pictures.words import moment_in_zone
from scenarios.planning import schedules

LAST_TIMES = 20
BADGES = {DueOutcome.STARTED: "passed", DueOutcome.SKIPPED: "aborted"}


@admin.register(Schedule)
class ScheduleAdmin(RequestedDeletionsAdmin, DeletedByServiceAdmin):
    deletion_field = "schedule"
    empty_hint = "Add one to run a scenario or a suite regularly."
    form = ScheduleForm
    list_display = ["name", "next_time", "last_time", "timetable", "subject", "changed_by"]
    list_filter = ["is_paused", "scenario_name"]
    list_select_related = ["changed_by"]
    search_fields = ["name", "scenario_name", "suite_name"]
    list_per_page = 50
    change_form_template = "admin/scenarios/schedule/change_form.html"
    fieldsets = (
        (None, {"fields": ["name", "scenario_name", "environment", "variables_text", "is_paused"]}),
        ("When", {"fields": ["cron", "time_zone", "grace_minutes", "priority"]}),
        (
            "Window in which runs may start",
            {"fields": ["window_days", ("window_from", "window_to")]},
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Schedule]:
        newest = ScheduledTime.objects.filter(schedule=OuterRef("pk")).order_by("-due_at")
        rows: QuerySet[Schedule] = super().get_queryset(request)
        return rows.select_related("changed_by").annotate(
            last_outcome=Subquery(newest.values("outcome")[:1]),
            last_reason=Subquery(newest.values("reason")[:1]),
        )

    # The author of a schedule is responsible for its runs, and so needs the permission to run scenarios.

    def has_add_permission(self, request: HttpRequest) -> bool:
        return super().has_add_permission(request) and request.user.has_perm("scenarios.run_scenario")

    def has_change_permission(self, request: HttpRequest, obj: Schedule | None = None) -> bool:
        may_change = super().has_change_permission(request, obj)
        return may_change and request.user.has_perm("scenarios.run_scenario")

    def get_fieldsets(self, request: HttpRequest, obj: Schedule | None = None) -> Any:
        if obj is None or self.has_change_permission(request, obj):
            return self.fieldsets
        # The page shows the rest in words, above.
        return [(None, {"fields": ["variable_list", "cron", "time_zone", "grace_minutes"]})]

    @admin.display(description="variables")
    def variable_list(self, schedule: Schedule) -> str:
        return ", ".join(f"{name}={value}" for name, value in schedule.variables.items()) or "defaults"

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        found, counts, _needed, protected = super().get_deleted_objects(objs, request)
        # Its recorded times are deleted with it, though nobody may delete those alone.
        return found, counts, set(), protected

    @admin.display(description="scenario or suite", ordering="scenario_name")
    def subject(self, schedule: Schedule) -> str:
        return f"suite {schedule.suite_name}" if schedule.suite_name else schedule.scenario_name

    @admin.display(description="timetable")
    def timetable(self, schedule: Schedule) -> str:
        return describe_timetable(schedule)

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

    def delete_row(self, row: Schedule, *, by: User) -> None:
        schedules.delete_schedule(row, by=by)

    def page_context(self, request: HttpRequest, row: Schedule | None) -> dict[str, Any]:
        shown: dict[str, Any] = {"time_zones": time_zones(), "show_save_and_add_another": False}
        if row is None:
            return shown
        return {**shown, **describe(row), "may_pause": self.has_change_permission(request, row)}

    @page("subjects/")
    def subjects_page(self, request: HttpRequest) -> HttpResponse:
        """Names of scenarios and suites that contain what was typed, as the options of a list."""
        typed = read_typed_text(request)
        text = typed.removeprefix(SUITE_PREFIX)
        models = (Suite,) if text != typed else (Scenario, Suite)
        found = []
        for model in models:
            prefix = SUITE_PREFIX if model is Suite else ""
            rows = model.objects.filter(name__icontains=text).order_by("name")
            names = rows.values_list("name", flat=True)[:MAX_SUGGESTIONS]
            found += [f"{prefix}{name}" for name in names]
        return show_suggestions(request, found)

    @button("<int:pk>/pause/", permission="change")
    def pause(self, request: HttpRequest, schedule: Schedule) -> None:
        """Pause the schedule, or resume it if the form says `resume`."""
        paused = "resume" not in request.POST
        schedules.pause(schedule, paused=paused)
        done = "Paused." if paused else "Resumed."
        self.log_change(request, schedule, done)
        self.message_user(request, f"{done} No run starts until you resume it." if paused else done)


def describe(schedule: Schedule) -> dict[str, Any]:
    """The next times, the results of the last ones, and what would keep a run from starting now."""
    try:
        upcoming = schedules.upcoming(schedule)
    except InvalidSchedule as error:
        return {"problem": str(error)}
    noted = schedule.times.select_related("run").defer("run__document", "run__included", "run__variables")
    return {
        "words": describe_timetable(schedule),
        "upcoming": [] if schedule.is_paused else upcoming,
        "obstacle": schedules.find_obstacle(schedule),
        "suite": Suite.objects.filter(name=schedule.suite_name).first() if schedule.suite_name else None,
        "scenario": home_queries.scenario_named(schedule.scenario_name),
        "approval": schedule.approvals.first(),
        "noted": [
            (time, badge(BADGES[DueOutcome(time.outcome)], time.outcome)) for time in noted[:LAST_TIMES]
        ],
    }


def describe_timetable(schedule: Schedule) -> str:
    try:
        return schedule.timetable().in_words()
    except InvalidSchedule as error:
        return str(error)
