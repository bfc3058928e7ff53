"""Schedules: create, change, pause and delete them."""

from datetime import datetime, time
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Field, Query, Router, Schema, Status
from pydantic import JsonValue, StringConstraints

from scenarios.api.access import get_caller, needs
from scenarios.api.bodies import Body
from scenarios.api.description import REFUSALS
from scenarios.api.merge_patch import patch_request
from scenarios.api.names import Int64, check_name, find_schedule
from scenarios.api.paging import BY_NAME, Flag, NameFilters, Text, build_page
from scenarios.api.preconditions import Versioned
from scenarios.api.problem_codes import ProblemCode
from scenarios.api.problems import ConflictError
from scenarios.api.resources import Resource
from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.outcomes import DueOutcome
from scenarios.domain.outputs import make_storable
from scenarios.domain.priorities import MAX_PRIORITY, MIN_PRIORITY
from scenarios.domain.timetable import TIME_OF_DAY
from scenarios.models import Schedule
from scenarios.models.planning import DEFAULT_GRACE_MINUTES, MAX_GRACE_MINUTES
from scenarios.planning import schedules
from scenarios.published.records import page_url

router = Router(tags=["schedules"])
VERSIONED = Versioned(
    Schedule,
    (
        "scenario_name",
        "suite_name",
        "variables",
        "environment",
        "cron",
        "time_zone",
        "window_days",
        "window_from",
        "window_to",
        "grace_minutes",
        "priority",
        "is_paused",
    ),
)
SCHEDULE = Resource(router, "/schedules/{name}", "schedule", VERSIONED)
DUE_TIMES_SHOWN = 5
TimeOfDay = Annotated[str, StringConstraints(pattern=TIME_OF_DAY)]
DayOfWeek = Annotated[int, Field(ge=1, le=7)]


class ScheduleInList(Schema):
    """`next_at` is null while it is paused."""

    name: str
    scenario: str = Field(alias="scenario_name", description="Empty if it runs a suite.")
    suite: str = Field(alias="suite_name", description="Empty if it runs a scenario.")
    variables: dict[str, JsonValue]
    environment: str = Field(description="The environment of its runs; empty if none.")
    cron: str
    time_zone: str
    window_days: list[int] = Field(description="1 is Monday; an empty list means every day.")
    window_from: str | None
    window_to: str | None
    grace_minutes: int
    priority: int = Field(
        description="The priority of its runs: among waiting runs, the highest begins first."
    )
    paused: bool = Field(alias="is_paused")
    next_at: datetime | None
    created_at: datetime
    changed_at: datetime
    changed_by: str | None
    url: str = Field(description="The schedule's page in the admin site.")

    @staticmethod
    def resolve_window_from(row: Schedule) -> str | None:
        return format_time_of_day(row.window_from)

    @staticmethod
    def resolve_window_to(row: Schedule) -> str | None:
        return format_time_of_day(row.window_to)

    @staticmethod
    def resolve_changed_by(row: Schedule) -> str | None:
        return row.changed_by.get_username() if row.changed_by else None

    @staticmethod
    def resolve_url(row: Schedule) -> str:
        return page_url(row)


class DueTime(Schema):
    """A time at which the schedule was due, and its outcome; `run` is null if none was started."""

    due_at: datetime
    outcome: DueOutcome
    reason: str
    run: UUID | None = Field(alias="run_id")


class ScheduleDetails(ScheduleInList):
    """A schedule, with its last and next due times."""

    in_words: str
    next_times: list[datetime] = Field(description="Empty while the schedule is paused.")
    obstacle: str = Field(description="What would keep it from starting a run now; empty if nothing.")
    last_times: list[DueTime] = Field(description="The newest first.")
    approval: Int64 | None = Field(
        description="Id of the newest approval, if the schedule needed one: see approvals/ID."
    )

    @classmethod
    def of(cls, row: Schedule, request: HttpRequest) -> "ScheduleDetails":
        described: Any = row
        described.approval = row.approvals.values_list("pk", flat=True).first()
        described.last_times = list(row.times.all()[:DUE_TIMES_SHOWN])
        described.obstacle = schedules.find_obstacle(row)
        try:
            described.in_words = row.timetable().in_words()
            described.next_times = [] if row.is_paused else schedules.upcoming(row)
        except InvalidSchedule as error:  # valid when it was stored: time zones change
            described.in_words, described.next_times, described.obstacle = "", [], str(error)
        return cls.model_validate(described, context={"request": request})


class SchedulePage(Schema):
    items: list[ScheduleInList]
    next_cursor: str | None


class ScheduleFilters(NameFilters):
    """`scenario` matches a whole name."""

    scenario: Text | None = None
    paused: Flag | None = None


class ScheduleRequest(Body):
    """Give a scenario or a suite. Give both times of the window or neither. A window that ends before it
    begins spans midnight.

    Without `paused`, a paused schedule stays paused, and a new one is not paused.
    """

    scenario: Text | None = None
    suite: Text | None = None
    cron: str = Field(max_length=200, description="For example '30 2 * * MON-FRI'.")
    variables: dict[str, JsonValue] = {}
    environment: Text | None = Field(None, description="The environment of its runs. A suite names its own.")
    time_zone: str = Field("UTC", max_length=64, description="For example 'Europe/Berlin'.")
    window_days: list[DayOfWeek] = Field(
        [], max_length=7, description="1 is Monday; an empty list means every day."
    )
    window_from: TimeOfDay | None = None
    window_to: TimeOfDay | None = None
    grace_minutes: int = Field(DEFAULT_GRACE_MINUTES, ge=0, le=MAX_GRACE_MINUTES)
    priority: int = Field(0, ge=MIN_PRIORITY, le=MAX_PRIORITY, description="The priority of its runs.")
    paused: bool | None = None

    def fields(self) -> dict[str, Any]:
        values: dict[str, Any] = self.model_dump(exclude={"scenario", "suite", "paused"})
        values["scenario_name"] = self.scenario or ""
        values["suite_name"] = self.suite or ""
        values["environment"] = self.environment or ""
        values["variables"] = make_storable(self.variables)
        values["window_days"] = sorted(set(self.window_days))
        values["window_from"] = time.fromisoformat(self.window_from) if self.window_from else None
        values["window_to"] = time.fromisoformat(self.window_to) if self.window_to else None
        return values if self.paused is None else {**values, "is_paused": self.paused}


def format_time_of_day(moment: time | None) -> str | None:
    return moment.isoformat("seconds" if moment.second else "minutes") if moment else None


@router.get("/schedules", response={200: SchedulePage, **REFUSALS}, url_name="schedules")
@needs("scenarios.view_schedule")
def list_schedules(request: HttpRequest, filters: Query[ScheduleFilters]) -> dict[str, Any]:
    """List the schedules by name."""
    rows = filters.select(Schedule.objects.select_related("changed_by"))
    if filters.scenario is not None:
        rows = rows.filter(scenario_name=filters.scenario)
    if filters.paused is not None:
        rows = rows.filter(is_paused=filters.paused)
    return build_page(rows, BY_NAME, filters)


@SCHEDULE.get(ScheduleDetails, needs("scenarios.view_schedule"))
def get_schedule(request: HttpRequest, name: str) -> ScheduleDetails:
    """Show the schedule, with its last and next due times."""
    return ScheduleDetails.of(find_schedule(name), request)


@SCHEDULE.put(ScheduleDetails, needs(*schedules.PERMISSIONS))
def put_schedule(request: HttpRequest, name: str, body: ScheduleRequest) -> ScheduleDetails:
    """Create or replace the schedule. Its runs are then started in your name."""
    caller = get_caller(request)
    schedule = schedules.put_schedule(check_name(name), body.fields(), by=caller.user)
    return ScheduleDetails.of(schedule, request)


@SCHEDULE.patch(ScheduleDetails, needs(*schedules.CHANGE_PERMISSIONS), body="SchedulePatch")
def patch_schedule(request: HttpRequest, name: str) -> ScheduleDetails:
    """Change some fields of the schedule, by JSON merge patch. Its runs are then started in your name."""
    patched = patch_request(request, ScheduleRequest, list_writable_fields(find_schedule(name)))
    fields = {"is_paused": False, **patched.fields()}
    schedule = schedules.put_schedule(name, fields, by=get_caller(request).user)
    return ScheduleDetails.of(schedule, request)


@SCHEDULE.delete(needs("scenarios.delete_schedule"), may_take_long=True)
def delete_schedule(request: HttpRequest, response: HttpResponse, name: str) -> Status[None]:
    """Delete the schedule. Its runs stay; one that has begun continues.

    With more than 500 runs and due times, it answers 202: the watchdog deletes the schedule, `Location` shows
    how far it is, and meanwhile the schedule is paused and cannot be changed.
    """
    if schedules.delete_schedule(find_schedule(name), by=get_caller(request).user) is None:
        return Status(HTTPStatus.NO_CONTENT, None)
    response["Location"] = reverse("api:schedule_deletion", args=[name])
    return Status(HTTPStatus.ACCEPTED, None)


@SCHEDULE.act("pause", ScheduleDetails, needs(*schedules.CHANGE_PERMISSIONS), url_name="pause_schedule")
def pause_schedule(request: HttpRequest, name: str) -> ScheduleDetails:
    """Pause the schedule: it starts nothing until it is resumed."""
    return set_paused(request, name, is_paused=True)


@SCHEDULE.act(
    "resume",
    ScheduleDetails,
    needs(*schedules.CHANGE_PERMISSIONS),
    url_name="resume_schedule",
    may_conflict=True,
)
def resume_schedule(request: HttpRequest, name: str) -> ScheduleDetails:
    """Resume the schedule from now on. What was due in between is not started."""
    return set_paused(request, name, is_paused=False)


def set_paused(request: HttpRequest, name: str, *, is_paused: bool) -> ScheduleDetails:
    schedule = find_schedule(name)
    try:
        schedules.pause(schedule, paused=is_paused)
    except InvalidSchedule as error:  # valid when it was stored: time zones change
        sentence = f"Schedule {name!r} cannot be resumed: {error}."
        raise ConflictError(sentence, ProblemCode.SCHEDULE_INVALID) from error
    return ScheduleDetails.of(find_schedule(name), request)


def list_writable_fields(schedule: Schedule) -> dict[str, Any]:
    """The body of a PUT that changes nothing."""
    return {
        "scenario": schedule.scenario_name or None,
        "suite": schedule.suite_name or None,
        "cron": schedule.cron,
        "variables": schedule.variables,
        "environment": schedule.environment or None,
        "time_zone": schedule.time_zone,
        "window_days": schedule.window_days,
        "window_from": format_time_of_day(schedule.window_from),
        "window_to": format_time_of_day(schedule.window_to),
        "grace_minutes": schedule.grace_minutes,
        "priority": schedule.priority,
        "paused": schedule.is_paused,
    }
