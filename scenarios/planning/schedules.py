"""Schedules: written, paused, and carried out when they are due.

The watchdog calls `start_due` each second; any number of watchdogs may. A time that was missed, because
none of them was at work, is caught up once if it is no longer ago than the schedule's grace; all others are
skipped. Every due time is noted with what came of it.
"""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from scenarios.domain.errors import InvalidDocument, InvalidSchedule, InvalidVariables
from scenarios.domain.timetable import Timetable
from scenarios.drivers import documents
from scenarios.language.document import build_plan
from scenarios.models import Scenario, Schedule
from scenarios.planning import approvals
from scenarios.planning.due import Skipped, check_may_start
from scenarios.runs import admission


def save_schedule(schedule: Schedule, *, by: User | None) -> Schedule:
    """Store the schedule, its next time counted from now; ask for an approval where it needs one.

    Raises:
        InvalidSchedule: with a sentence for each field that makes no sense.
    """
    timetable = check_schedule(schedule)
    schedule.changed_by = by
    schedule.next_at = None if schedule.is_paused else timetable.next_after(timezone.now())
    with transaction.atomic():
        schedule.save()
        approvals.ask_for_schedule(schedule)
    return schedule


@transaction.atomic
def put_schedule(name: str, fields: Mapping[str, Any], *, by: User | None) -> Schedule:
    """Create the schedule of this name, or give the one that there is these fields; others stay as they are.

    Raises:
        InvalidSchedule: with a sentence for each field that makes no sense.
    """
    admission.lock_admission()  # of two that create the same one, the second changes the first's
    schedule = Schedule.objects.select_for_update().filter(name=name).first() or Schedule(name=name)
    for field, value in fields.items():
        setattr(schedule, field, value)
    return save_schedule(schedule, by=by)


@transaction.atomic
def delete_schedule(schedule: Schedule) -> None:
    """Delete it with what is noted of its due times; its runs stay."""
    # Locked first: a watchdog whose turn it is notes what came of it before, or finds nothing.
    Schedule.objects.select_for_update().filter(pk=schedule.pk).first()
    schedule.delete()


def check_schedule(schedule: Schedule) -> Timetable:
    """Its timetable.

    Raises:
        InvalidSchedule: with a sentence for each field that makes no sense.
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
    """Raises InvalidSchedule with a sentence for each field that breaks a rule of its own."""
    try:
        schedule.clean_fields(exclude=["scenario_name", "cron", "time_zone", "changed_by"])
    except ValidationError as error:
        raise InvalidSchedule({name: " ".join(said) for name, said in error.message_dict.items()}) from error


def check_scenario(schedule: Schedule) -> None:
    """Raises InvalidSchedule where its scenario is not stored, is invalid, or refuses its variables."""
    scenario = Scenario.objects.filter(name=schedule.scenario_name).first()
    if scenario is None:
        raise InvalidSchedule({"scenario_name": f"there is no scenario {schedule.scenario_name!r}"})
    try:
        build_plan(documents.read_document(scenario.document), schedule.variables)
    except InvalidDocument as error:
        raise InvalidSchedule({"scenario_name": f"{scenario.name!r} is invalid: {error}"}) from error
    except InvalidVariables as error:
        raise InvalidSchedule({"variables": str(error)}) from error


@transaction.atomic
def pause(schedule: Schedule, *, paused: bool) -> None:
    """Pause it, or let it go on from now: what was due in between is not caught up.

    Raises:
        InvalidSchedule: its cron line, zone or window makes no sense any more.
    """
    # As it is by now: its next time is not counted by a cron line that somebody changes meanwhile.
    schedule = Schedule.objects.select_for_update().filter(pk=schedule.pk).first() or schedule
    following = None if paused else schedule.timetable().next_after(timezone.now())
    Schedule.objects.filter(pk=schedule.pk).update(is_paused=paused, next_at=following)


def upcoming(schedule: Schedule, count: int = 5) -> list[datetime]:
    """The next due times.

    Raises:
        InvalidSchedule: its cron line, zone or window makes no sense any more.
    """
    return list(islice(schedule.timetable().after(timezone.now()), count))


def find_obstacle(schedule: Schedule) -> str:
    """What would keep it from starting a run if it were due now; "" where nothing would."""
    try:
        check_may_start(schedule)
        check_scenario(schedule)
        planned = approvals.read_planned_run(schedule)
    except (Skipped, InvalidSchedule, Scenario.DoesNotExist) as error:
        return str(error)
    if planned.protected and approvals.approval_of(schedule, planned.fingerprint) is None:
        return admission.describe_missing_approval(planned.protected)
    return ""
