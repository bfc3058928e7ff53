"""Writes schedules, pauses them, and says when they are due.

A watchdog starts due schedules every second (due.py). A time that was missed while no watchdog was running is
caught up once if it is within the grace of the schedule; all others are skipped. Every due time is recorded
with its result.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from scenarios.domain.errors import InvalidDocument, InvalidSchedule, InvalidVariables, UnknownEnvironment
from scenarios.domain.timetable import Timetable
from scenarios.drivers import documents
from scenarios.language.variables import read_given
from scenarios.models import DeletionRequest, Scenario, Schedule, Suite
from scenarios.planning import approvals
from scenarios.planning.due import Skipped, check_may_start
from scenarios.runs import admission, deletion_requests
from scenarios.runs.environments import plan_in
from scenarios.suites.documents import read_stored_suite

# A schedule starts runs in its author's name, who must have the permission to run.
CHANGE_PERMISSIONS = ("scenarios.change_schedule", "scenarios.run_scenario")
PERMISSIONS = ("scenarios.add_schedule", *CHANGE_PERMISSIONS)


def save_schedule(schedule: Schedule, *, by: User | None) -> Schedule:
    """Store the schedule with its next time from now on, and request an approval if it needs one.

    Raises:
        InvalidSchedule: with a message for each invalid field.
    """
    _refuse_deleted(schedule)
    timetable = check_schedule(schedule)
    schedule.changed_by = by
    schedule.next_at = None if schedule.is_paused else timetable.next_after(timezone.now())
    with transaction.atomic():
        schedule.save()
        if not schedule.suite_name:
            approvals.request_for_schedule(schedule)
    return schedule


@transaction.atomic
def put_schedule(name: str, fields: Mapping[str, Any], *, by: User | None) -> Schedule:
    """Create the schedule with this name, or change these fields of the existing one.

    Raises:
        InvalidSchedule: with a message for each invalid field.
    """
    admission.lock_admission()  # so that the second of two requests changes what the first created
    schedule = Schedule.objects.select_for_update().filter(name=name).first() or Schedule(name=name)
    for field, value in fields.items():
        setattr(schedule, field, value)
    return save_schedule(schedule, by=by)


def delete_schedule(schedule: Schedule, *, by: User | None = None) -> DeletionRequest | None:
    """Delete the schedule with its recorded times; its runs stay.

    If it has many, only request it: the watchdog deletes it. Returns the request, also an earlier one.
    """
    return deletion_requests.delete_or_request(schedule, by=by)


def _refuse_deleted(schedule: Schedule) -> None:
    """Raises InvalidSchedule if it is being deleted."""
    if schedule.pk is not None and deletion_requests.find_request(schedule) is not None:
        sentence = f"the schedule {schedule.name!r} is being deleted; withdraw that, or use another name"
        raise InvalidSchedule({"name": sentence})


def check_schedule(schedule: Schedule) -> Timetable:
    """Check all fields and the scenario; returns the timetable.

    Raises:
        InvalidSchedule: with a message for each invalid field.
    """
    errors: dict[str, str] = {}
    for check in (check_fields, Schedule.timetable, check_scenario):
        try:
            check(schedule)
        except InvalidSchedule as error:
            errors |= error.errors
    if errors:
        raise InvalidSchedule(errors)
    return schedule.timetable()


def check_fields(schedule: Schedule) -> None:
    """Raises InvalidSchedule with a message for each field that is invalid by itself."""
    try:
        schedule.clean_fields(exclude=["scenario_name", "cron", "time_zone", "changed_by"])
    except ValidationError as error:
        raise InvalidSchedule(
            {name: " ".join(messages) for name, messages in error.message_dict.items()}
        ) from error


def check_scenario(schedule: Schedule) -> None:
    """Check that there is such a scenario or suite, and give the variables the types that it declares.

    Raises:
        InvalidSchedule: it is missing or invalid, or refuses the variables.
    """
    if schedule.suite_name:
        check_suite(schedule)
        return
    scenario = Scenario.objects.select_related("deletion").filter(name=schedule.scenario_name).first()
    if scenario is None:
        raise InvalidSchedule({"scenario_name": f"there is no scenario {schedule.scenario_name!r}"})
    if scenario.is_being_deleted:
        raise InvalidSchedule(
            {"scenario_name": f"{scenario.name!r} is being deleted; choose another scenario"}
        )
    try:
        document = documents.read_document(scenario.document)
        plan_in(document, schedule.variables, schedule.environment)
        # As those of a run: a command line and a form give text.
        schedule.variables = read_given(document.variables, schedule.variables)
    except InvalidDocument as error:
        raise InvalidSchedule({"scenario_name": f"{scenario.name!r} is invalid: {error}"}) from error
    except UnknownEnvironment as error:
        raise InvalidSchedule({"environment": str(error)}) from error
    except InvalidVariables as error:
        raise InvalidSchedule({"variables": str(error)}) from error


def check_suite(schedule: Schedule) -> None:
    """Raises InvalidSchedule if the suite is missing or invalid, or cannot be run like this."""
    if schedule.scenario_name:
        raise InvalidSchedule({"suite_name": "a schedule runs either a scenario or a suite; leave out one"})
    if schedule.variables:
        raise InvalidSchedule({"variables": "a suite has no variables; write values into its document"})
    if schedule.environment:
        rule = "a suite names its environment itself, with 'spec.environment'"
        raise InvalidSchedule({"environment": rule})
    suite = Suite.objects.filter(name=schedule.suite_name).first()
    if suite is None:
        raise InvalidSchedule({"suite_name": f"there is no suite {schedule.suite_name!r}"})
    try:
        read_stored_suite(suite.document)
    except InvalidDocument as error:
        raise InvalidSchedule({"suite_name": f"{suite.name!r} is invalid: {error}"}) from error


@transaction.atomic
def pause(schedule: Schedule, *, paused: bool) -> None:
    """Pause the schedule, or resume it from now on without catching up.

    Raises:
        InvalidSchedule: its cron expression, time zone or window is no longer valid, or it is being deleted.
    """
    # Read again, because somebody may have changed the cron expression meanwhile.
    schedule = Schedule.objects.select_for_update().filter(pk=schedule.pk).first() or schedule
    _refuse_deleted(schedule)
    following = None if paused else schedule.timetable().next_after(timezone.now())
    Schedule.objects.filter(pk=schedule.pk).update(is_paused=paused, next_at=following)


def upcoming(schedule: Schedule, count: int = 5) -> list[datetime]:
    """The next due times.

    Raises:
        InvalidSchedule: its cron expression, time zone or window is no longer valid.
    """
    return list(islice(schedule.timetable().after(timezone.now()), count))


def find_obstacle(schedule: Schedule) -> str:
    """What would keep it from starting a run now; "" if nothing would."""
    try:
        check_may_start(schedule)
        check_scenario(schedule)
        if schedule.suite_name:
            return ""  # each of its runs asks for its own approval
        planned = approvals.read_planned_run(schedule)
    except (Skipped, InvalidSchedule, UnknownEnvironment, Scenario.DoesNotExist) as error:
        return str(error)
    if planned.protected and approvals.find_approval(schedule, planned.fingerprint) is None:
        return admission.describe_missing_approval(planned.protected)
    return ""
