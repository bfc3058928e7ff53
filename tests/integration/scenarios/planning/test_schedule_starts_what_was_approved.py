"""A schedule starts the approved document or none, even if the scenario changes at the wrong moment."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone

from scenarios.models import Run, Schedule
from scenarios.planning import approvals, due
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.planned_rows import (
    DOCUMENT,
    exchange,
    minute,
    read_approval,
    scheduled,
    someone,
    stored,
)

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = DOCUMENT.replace("/fault/${delay}", "/everything/${delay}")
Change = Callable[[], object]


@pytest.fixture
def ann() -> User:
    return someone("ann", "run_scenario")


@pytest.fixture
def schedule(ann: User) -> Schedule:
    """Due, and approved for DOCUMENT."""
    exchange(is_protected=True)
    stored(by=ann)
    schedule = scheduled(ann, due=minute())
    approvals.approve(schedule.approvals.get(), by=someone("bob", "approve_run"))
    return schedule


@pytest.fixture
def by_somebody_else() -> Iterator[Callable[[Change], None]]:
    """Over a connection of its own; SQLite lets nobody write meanwhile, so that there it is our own."""
    threads = []

    def act(change: Change) -> None:
        change()
        connection.close()

    def begin(change: Change) -> None:
        if connection.vendor == "sqlite":
            change()
            return
        threads.append(threading.Thread(target=act, args=[change]))
        threads[-1].start()
        threads[-1].join(2)  # where it waits for a row that this transaction has locked, it goes on later

    yield begin
    for thread in threads:
        thread.join()


@pytest.fixture
def interrupted(
    monkeypatch: pytest.MonkeyPatch, by_somebody_else: Callable[[Change], None]
) -> Callable[..., None]:
    """Has others act right before and right after the next call of a function."""

    def interrupt(module: Any, name: str, *, before: Change, after: Change) -> None:
        function = getattr(module, name)

        def call(*arguments: Any, **named: Any) -> Any:
            monkeypatch.setattr(module, name, function)
            by_somebody_else(before)
            try:
                return function(*arguments, **named)
            finally:
                by_somebody_else(after)

        monkeypatch.setattr(module, name, call)

    return interrupt


def nothing() -> None:
    pass


def store(document: str) -> Change:
    return lambda: stored(document)


STEPS = [
    (approvals, "request_for_schedule"),
    (approvals, "read_planned_run"),
    (approvals, "find_approval"),
    (run_commands, "start_scheduled_run"),
]


@pytest.mark.parametrize(("module", "name"), STEPS)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_another_document_is_never_started_with_the_approval(
    schedule: Schedule, interrupted: Callable[..., None], module: Any, name: str, moment: str
) -> None:
    changes = {"before": nothing, "after": nothing, moment: store(OTHER)}
    interrupted(module, name, **changes)
    due.start_due(minute())
    assert [run.document for run in Run.objects.all()] in ([], [DOCUMENT])


@pytest.mark.parametrize(("module", "name"), STEPS)
def test_nor_is_one_that_was_stored_for_a_moment(
    schedule: Schedule, interrupted: Callable[..., None], module: Any, name: str
) -> None:
    stored(OTHER)
    interrupted(module, name, before=store(DOCUMENT), after=store(OTHER))
    due.start_due(minute())
    assert [run.document for run in Run.objects.all()] in ([], [DOCUMENT])


def test_variables_that_were_saved_after_the_look_need_their_own_approval(
    schedule: Schedule, ann: User
) -> None:
    [stale] = Schedule.objects.due(timezone.now())
    Schedule.objects.update(variables={"delay": 99})  # with the same next time
    with transaction.atomic():
        due._take_turn(stale, timezone.now())
    assert not Run.objects.exists()
    assert "the approval of the schedule is missing" in schedule.times.get().reason


def test_the_approved_document_is_started_with_its_approval(schedule: Schedule) -> None:
    due.start_due(minute())
    run = Run.objects.get()
    assert (run.document, read_approval(run).decided_by_name) == (DOCUMENT, "bob")
