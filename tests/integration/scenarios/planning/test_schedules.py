"""Each due time starts one run, or is noted with the reason why it started none."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from metrics_app.backend import get_metrics
from scenarios.domain.errors import InvalidSchedule
from scenarios.domain.outcomes import RunState
from scenarios.models import Run, Scenario, Schedule, ScheduledTime
from scenarios.planning import due as planning_due
from scenarios.planning import schedules
from scenarios.runs import global_stop, leases
from tests.exposition import value
from tests.integration.scenarios.planned_rows import DOCUMENT, asked_run, minute, scheduled, someone, stored

pytestmark = pytest.mark.django_db


@pytest.fixture
def ann() -> User:
    stored()
    return someone("ann", "run_scenario")


def noted(schedule: Schedule) -> list[tuple[str, str]]:
    """Outcome and reason of each due time, the newest first."""
    return list(schedule.times.values_list("outcome", "reason"))


def only_reason(schedule: Schedule) -> str:
    [(outcome, reason)] = noted(schedule)
    assert (outcome, Run.objects.filter(schedule=schedule).count()) == ("skipped", 0)
    return reason


def test_a_due_schedule_starts_its_run_and_waits_for_the_next_time(ann: User) -> None:
    schedule = scheduled(ann, due=minute(), variables={"delay": 7})
    assert planning_due.start_due(minute()) == 1
    run = Run.objects.get()
    assert (run.schedule, run.started_by, run.started_from) == (schedule, ann, "schedule")
    assert (run.variables, run.state) == ({"delay": 7}, RunState.QUEUED)
    assert noted(schedule) == [("started", "")]
    schedule.refresh_from_db()
    assert schedule.next_at is not None
    assert schedule.next_at > timezone.now()
    assert planning_due.start_due(minute()) == 0


def test_a_grace_of_more_than_a_day_is_refused_and_one_that_is_stored_stops_nobody(ann: User) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        scheduled(ann, grace_minutes=1441)
    assert refused.value.errors == {"grace_minutes": "Enter at most 1440 minutes (one day)."}
    Schedule.objects.filter(pk=scheduled(ann, due=minute()).pk).update(grace_minutes=2**31 - 1)
    assert planning_due.start_due(minute()) == 1
    assert Run.objects.count() == 1


def test_a_resumed_schedule_is_due_by_its_present_cron_line(ann: User) -> None:
    schedule = scheduled(ann, is_paused=True)
    Schedule.objects.update(cron="0 0 1 1 *")
    schedules.pause(schedule, paused=False)
    schedule.refresh_from_db()
    assert schedule.next_at is not None
    assert (schedule.next_at.month, schedule.next_at.day) == (1, 1)


def test_outcomes_of_due_times_are_counted(
    ann: User, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[list[object]]]
) -> None:
    scheduled(ann, due=minute(), name="counted")
    with django_capture_on_commit_callbacks(execute=True):
        planning_due.start_due(minute())
    exposition = get_metrics().get_http_handler()()
    assert value(exposition, "scenario_scheduled_times_total", schedule="counted", outcome="started") == 1


def test_only_the_last_missed_time_within_the_grace_is_caught_up(ann: User) -> None:
    schedule = scheduled(ann, due=minute(600), cron="*/10 * * * *", grace_minutes=15)
    planning_due.start_due(minute())
    caught_up, missed = noted(schedule)
    assert caught_up[0] == "started"
    assert missed[0] == "skipped"
    assert "missed: no watchdog was running, and only the last one is caught up" in missed[1]
    assert Run.objects.count() == 1


def test_a_time_missed_for_longer_than_the_grace_is_skipped_with_the_reason(ann: User) -> None:
    schedule = scheduled(ann, due=minute(180), cron="0 0 1 1 *", grace_minutes=15)
    Schedule.objects.filter(pk=schedule.pk).update(cron=f"{minute(180):%M %H} * * *")
    planning_due.start_due(minute())
    assert only_reason(schedule) == "missed: no watchdog was running"


def test_missed_times_are_counted_up_to_a_thousand(ann: User) -> None:
    schedule = scheduled(ann, due=minute(60 * 24 * 30))
    planning_due.start_due(minute())
    assert noted(schedule)[-1][1].startswith("at least 1000 missed")
    assert ScheduledTime.objects.count() == 2


def test_times_due_during_a_pause_are_not_caught_up(ann: User) -> None:
    schedule = scheduled(ann, due=minute(2))
    schedules.pause(schedule, paused=True)
    assert planning_due.start_due(minute()) == 0
    schedules.pause(schedule, paused=False)
    assert planning_due.start_due(minute()) == 0
    assert noted(schedule) == []


def test_it_is_skipped_while_its_last_run_has_not_ended(ann: User) -> None:
    schedule = scheduled(ann, due=minute())
    planning_due.start_due(minute())
    Schedule.objects.update(next_at=minute(1))
    planning_due.start_due(timezone.now() - timedelta(minutes=1))
    assert f"its run {Run.objects.get()} has not ended (queued)" in [reason for _, reason in noted(schedule)]


def test_it_is_skipped_under_the_global_stop(ann: User) -> None:
    schedule = scheduled(ann, due=minute())
    global_stop.pull_global_stop(by="bob", reason="an incident")
    planning_due.start_due(minute())
    assert only_reason(schedule) == "the global stop, pulled by bob (an incident)"


def test_it_is_skipped_when_its_scenario_was_deleted_and_goes_on_when_it_is_there_again(ann: User) -> None:
    schedule = scheduled(ann, due=minute())
    Scenario.objects.all().delete()
    planning_due.start_due(minute())
    assert only_reason(schedule) == "there is no scenario 'break-exchange'"
    stored()
    Schedule.objects.update(next_at=minute() + timedelta(minutes=1))
    planning_due.start_due(timezone.now() + timedelta(minutes=1))
    assert noted(schedule)[0] == ("started", "")


def test_it_is_skipped_when_its_scenario_no_longer_fits(ann: User) -> None:
    schedule = scheduled(ann, due=minute())
    Scenario.objects.update(document=DOCUMENT.replace("method: POST", "metod: POST"))
    planning_due.start_due(minute())
    assert "did you mean 'method'?" in only_reason(schedule)


def test_it_is_skipped_when_its_variables_no_longer_fit(ann: User) -> None:
    schedule = scheduled(ann, due=minute(), variables={"delay": 7})
    stored(DOCUMENT.replace("max: 100", "max: 6"))
    planning_due.start_due(minute())
    assert "it must be at most 6" in only_reason(schedule)


@pytest.mark.parametrize("what", ["deleted", "no longer active", "without the permission"])
def test_schedule_is_skipped_if_its_author_may_no_longer_run_scenarios(ann: User, what: str) -> None:
    schedule = scheduled(ann, due=minute())
    if what == "deleted":
        ann.delete()
    elif what == "no longer active":
        User.objects.update(is_active=False)
    else:
        ann.user_permissions.clear()
    planning_due.start_due(minute())
    assert "someone who may must save it again" in only_reason(schedule)


def test_a_time_that_can_only_be_caught_up_outside_its_window_is_skipped(ann: User) -> None:
    schedule = scheduled(ann, window_from=time(2), window_to=time(4), grace_minutes=60)
    due = datetime(2026, 11, 23, 3, 59, tzinfo=ZoneInfo("UTC"))
    Schedule.objects.update(next_at=due)
    planning_due.start_due(due + timedelta(minutes=10))
    assert "its window (every day, 02:00 to 04:00) had closed" in noted(schedule)[0][1]


def test_a_run_that_could_not_begin_within_the_window_is_ended_and_never_begins(ann: User) -> None:
    scheduled(ann, window_from=time(2), window_to=time(4))
    due = datetime(2026, 11, 23, 3, 59, tzinfo=ZoneInfo("UTC"))
    Schedule.objects.update(next_at=due)
    planning_due.start_due(due)
    run = Run.objects.get()
    assert planning_due.end_late(due) == 0
    Run.objects.update(begin_before=timezone.now())
    assert leases.claim_run(run.id, 1, worker="a:1") is None
    assert planning_due.end_late(timezone.now()) == 1
    run.refresh_from_db()
    assert (run.outcome, run.rollback) == ("aborted", "clean")
    assert "when the window of its schedule closed" in run.reason


def test_a_broken_time_zone_pauses_its_schedule_and_keeps_no_other_from_starting(ann: User) -> None:
    broken = scheduled(ann, due=minute(), name="broken")
    scheduled(ann, due=minute(), name="whole")
    Schedule.objects.filter(pk=broken.pk).update(time_zone="Mars/Olympus")
    planning_due.start_due(minute())
    assert Run.objects.count() == 1
    assert Schedule.objects.get(pk=broken.pk).is_paused


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"cron": "never"}, "cron"),
        ({"scenario_name": "gone"}, "scenario_name"),
        ({"variables": {"delay": 1000}}, "variables"),
        ({"variables": {"dely": 10}}, "variables"),
    ],
)
def test_an_invalid_schedule_is_not_stored(ann: User, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        scheduled(ann, **fields)
    assert set(refused.value.errors) == {field}
    assert not Schedule.objects.exists()


def test_runs_outlive_their_schedule(ann: User) -> None:
    schedule = scheduled(ann, due=minute())
    planning_due.start_due(minute())
    schedule.delete()
    assert Run.objects.get().schedule is None


@pytest.mark.django_db(transaction=True)
def test_one_of_four_concurrent_watchdogs_starts_the_run() -> None:
    stored()
    ann = someone("ann", "run_scenario")
    now = timezone.now()  # once: another minute would be another time to start
    for number in range(10):
        scheduled(ann, due=now.replace(second=0, microsecond=0), name=f"raced-{number}")
    begin = threading.Barrier(4)

    def look() -> None:
        begin.wait()
        planning_due.start_due(now)
        connection.close()

    watchdogs = [threading.Thread(target=look) for _ in range(4)]
    for watchdog in watchdogs:
        watchdog.start()
    for watchdog in watchdogs:
        watchdog.join()
    assert sorted(Run.objects.values_list("schedule__name", flat=True)) == [f"raced-{n}" for n in range(10)]
    assert set(ScheduledTime.objects.values_list("outcome", flat=True)) == {"started"}


def test_a_run_of_a_person_keeps_no_schedule_from_starting(ann: User) -> None:
    asked_run(ann)
    schedule = scheduled(ann, due=minute())
    planning_due.start_due(minute())
    assert noted(schedule) == [("started", "")]
