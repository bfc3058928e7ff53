"""Starts the runs of schedules that are due."""

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, Subquery

from scenarios.database.errors import is_away
from scenarios.domain.errors import InvalidDocument, InvalidSchedule, InvalidVariables, UnknownEnvironment
from scenarios.domain.outcomes import DueOutcome
from scenarios.domain.progress import note_progress
from scenarios.domain.timetable import Timetable
from scenarios.models import (
    Approval,
    GlobalStop,
    Run,
    Scenario,
    Schedule,
    ScheduledTime,
    Suite,
    SuiteRun,
)
from scenarios.models.planning import MAX_GRACE_MINUTES
from scenarios.planning import approvals
from scenarios.published.metrics import SCHEDULED_TIMES
from scenarios.runs import admission
from scenarios.runs import commands as run_commands
from scenarios.suites.running import start_suite
from scenarios.suites.storage import SuiteIsRunning

logger = logging.getLogger(__name__)
# A watchdog looks every second; a run that starts within this time is not called late.
ON_TIME = timedelta(minutes=1)
MAX_COUNTED = 1_000
MAX_REST_SECONDS = 0.2
# Facts that a start needs, read in the same query as the schedule to save a query for each.
_PERMITTED = Permission.objects.filter(codename="run_scenario", content_type__app_label="scenarios")
_AUTHOR = Q(user=OuterRef("changed_by")) | Q(group__user=OuterRef("changed_by"))
FACTS = {
    "stopped": Exists(GlobalStop.objects.filter(pulled_at__isnull=False)),
    "running": Exists(Run.objects.unfinished().filter(schedule=OuterRef("pk"))),
    "pending": Exists(Approval.objects.pending().filter(schedule=OuterRef("pk"))),
    "author_may_run": Exists(_PERMITTED.filter(_AUTHOR)),
    "noted_last": Subquery(
        ScheduledTime.objects.filter(schedule=OuterRef("pk")).order_by("-due_at").values("due_at")[:1]
    ),
}


class Skipped(Exception):  # noqa: N818 - a state
    """The schedule is due but starts no run; the message says why."""


@dataclass(frozen=True, slots=True)
class Due:
    """The time to start for, if any, and how many earlier ones were missed."""

    at: datetime | None
    missed: int


def start_due(now: datetime) -> int:
    """Start the run of each schedule that is due, or record why not; returns how many were due.

    An unexpected error in one schedule does not delay the others. It is raised after all had their turn.
    """
    due = list(Schedule.objects.due(now))
    errors: list[Exception] = []
    for schedule in _with_rests(due):
        try:
            with transaction.atomic():
                _take_turn(schedule, now)
        except InvalidSchedule:
            logger.exception("Schedule %s is paused", schedule)
            Schedule.objects.filter(pk=schedule.pk).update(is_paused=True, next_at=None)
        except Exception as error:
            if is_away(error):
                raise
            errors.append(error)
        else:
            note_progress()
    if errors:
        raise errors[0]
    return len(due)


def _with_rests(schedules: Iterable[Schedule]) -> Iterator[Schedule]:
    """On SQLite, a rest after each, as long as its turn took.

    SQLite lets one write at a time, and not the one that has waited longest: without rests, the undo of a
    fault could wait until all schedules had their turn.
    """
    for schedule in schedules:
        begun = time.monotonic()
        yield schedule
        if connection.vendor == "sqlite":
            time.sleep(min(time.monotonic() - begun, MAX_REST_SECONDS))


def end_late(now: datetime) -> int:
    """End runs that still wait although the window of their schedule has closed; returns how many."""
    late = Run.objects.not_begun().filter(begin_before__lte=now).for_a_list()
    sentence = "it could not start before {:%H:%M} UTC, when the window of its schedule closed"
    return sum(
        run_commands.end_unbegun_run(run, sentence.format(run.begin_before))
        for run in late
        if run.begin_before
    )


def request_approvals() -> None:
    """Request approvals before schedules are due, if a scenario or the protection of a service has changed.

    A single query if nothing is protected and no request is pending.
    """
    approvals.request_where_changed()


def _take_turn(schedule: Schedule, now: datetime) -> None:
    """In one transaction, write the next time, the run and its record."""
    # Locked and read again: of the watchdogs that found the same time, the database lets one through, and the
    # others find a later time in the row.
    unchanged = (
        Schedule.objects.select_for_update(of=("self",)).select_related("changed_by").annotate(**FACTS)
    )
    locked = unchanged.filter(pk=schedule.pk, next_at=schedule.next_at, is_paused=False).first()
    if locked is None or locked.next_at is None:
        return
    schedule, first, timetable = locked, locked.next_at, locked.timetable()
    Schedule.objects.filter(pk=schedule.pk).update(next_at=timetable.next_after(now))
    due = due_now(first, timetable, schedule.grace_minutes, now)
    if due.missed:
        at_least = "at least " if due.missed >= MAX_COUNTED else ""
        reason = f"{at_least}{due.missed} missed: no watchdog was running, and only the last one is caught up"
        if due.missed == 1:
            reason = "missed: no watchdog was running"
        _note(schedule, first, DueOutcome.SKIPPED, reason)
    if due.at is not None:
        _begin(schedule, due.at, timetable, now)


def due_now(first: datetime, timetable: Timetable, grace_minutes: int, now: datetime) -> Due:
    """The last time from the first to now, if it is within the grace; all others are missed."""
    grace = timedelta(minutes=min(grace_minutes, MAX_GRACE_MINUTES))  # earlier versions accepted any number
    since = max(first, now - max(ON_TIME, grace))
    moment = timedelta(microseconds=1)
    within = timetable.between(since - moment, now, MAX_GRACE_MINUTES + 1)
    last = within[-1] if within else None
    earlier = timetable.between(first - moment, (last or now + moment) - moment, MAX_COUNTED)
    return Due(last, len(earlier))


def _begin(schedule: Schedule, at: datetime, timetable: Timetable, now: datetime) -> None:
    newest = getattr(schedule, "noted_last", None)
    if newest and newest >= at and ScheduledTime.objects.filter(schedule=schedule, due_at=at).exists():
        return  # it was started before the clock was set back
    late = now - at
    reason = f"caught up {late.total_seconds() / 60:.0f} minutes late" if late > ON_TIME else ""
    try:
        if schedule.suite_name:
            suite_run = _start_suite(schedule, timetable, now)
            started = f"run {suite_run.short_id} of the suite {suite_run.suite_name}"
            _note(schedule, at, DueOutcome.STARTED, ", ".join(filter(None, (started, reason))))
            return
        run = _start(schedule, timetable, now)
    except Skipped as error:
        _note(schedule, at, DueOutcome.SKIPPED, str(error))
    else:
        _note(schedule, at, DueOutcome.STARTED, reason, run)


def _start(schedule: Schedule, timetable: Timetable, now: datetime) -> Run:
    _check_window(timetable, now)
    check_may_start(schedule)
    try:
        # Locked, so that nobody changes the document between the check of its approval and its start.
        locked = Scenario.objects.select_for_update(no_key=True, of=("self",)).select_related("deletion")
        scenario = locked.get(name=schedule.scenario_name)
        if scenario.is_being_deleted:
            raise Skipped(f"the scenario {schedule.scenario_name!r} is being deleted")
        planned = approvals.plan_run(schedule, scenario)
        if lacking := approvals.request_for_locked(schedule, planned):
            raise Skipped(
                f"{admission.describe_missing_approval(lacking)}; the approval of the schedule is missing"
            )
        approval = approvals.find_approval(schedule, planned.fingerprint) if planned.protected else None
        return run_commands.start_scheduled_run(
            planned.document,
            planned.plan,
            run_commands.Scheduled(schedule, begin_before=timetable.closes(now), approval=approval),
            scenario=planned.scenario,
            variables=planned.variables,
            services=planned.touched,
            protected=planned.protected,
        )
    except Scenario.DoesNotExist as error:
        raise Skipped(f"there is no scenario {schedule.scenario_name!r}") from error
    except InvalidDocument as error:
        raise Skipped(f"the scenario is invalid: {error}") from error
    except UnknownEnvironment as error:
        raise Skipped(str(error)) from error
    except InvalidVariables as error:
        raise Skipped(f"its variables no longer fit the scenario: {error}") from error


def _start_suite(schedule: Schedule, timetable: Timetable, now: datetime) -> SuiteRun:
    _check_window(timetable, now)
    check_may_start(schedule)
    suite = Suite.objects.filter(name=schedule.suite_name).first()
    if suite is None:
        raise Skipped(f"there is no suite {schedule.suite_name!r}")
    try:
        return start_suite(suite, origin="schedule", by=schedule.changed_by, schedule=schedule)
    except SuiteIsRunning as error:
        raise Skipped(str(error)) from error
    except InvalidDocument as error:
        raise Skipped(f"the suite is invalid: {error}") from error


def _check_window(timetable: Timetable, now: datetime) -> None:
    if not timetable.may_start(now):
        raise Skipped(f"missed: its window ({timetable.window}) had closed by the time it could be caught up")


def check_may_start(schedule: Schedule) -> None:
    """Raises Skipped if something other than the scenario prevents a start."""
    stop = GlobalStop.objects.filter(pulled_at__isnull=False).first() if _is(schedule, "stopped") else None
    if stop is not None:
        raise Skipped(str(stop))
    unfinished = Run.objects.unfinished().filter(schedule=schedule).for_a_list()
    if (run := unfinished.first() if _is(schedule, "running") else None) is not None:
        raise Skipped(f"its run {run} has not ended ({run.verdict})")
    author = schedule.changed_by
    if author is None or not author.is_active or not _may_run(schedule, author):
        who = f"{author.get_username()!r}, who last saved it," if author else "the person who last saved it"
        raise Skipped(f"{who} may no longer run scenarios; someone who may must save it again")


def _is(schedule: Schedule, fact: str) -> bool:
    """A fact from FACTS; true if the row was read without them."""
    return bool(getattr(schedule, fact, True))


def _may_run(schedule: Schedule, author: User) -> bool:
    """From the facts of the row; Django decides about other ways to the permission."""
    return getattr(schedule, "author_may_run", False) or author.has_perm("scenarios.run_scenario")


def _note(schedule: Schedule, at: datetime, outcome: DueOutcome, reason: str, run: Run | None = None) -> None:
    noted = ScheduledTime(schedule=schedule, due_at=at, outcome=outcome, reason=reason, run=run)
    # A single statement, even if the time was recorded before.
    ScheduledTime.objects.bulk_create(
        [noted],
        update_conflicts=True,
        unique_fields=["schedule", "due_at"],
        update_fields=["outcome", "reason", "run"],
    )
    if outcome is DueOutcome.SKIPPED:
        logger.warning("Schedule %s, due %s, started no run: %s", schedule, at.isoformat(), reason)
    transaction.on_commit(SCHEDULED_TIMES.labels(schedule=schedule.name, outcome=outcome.value).inc)
