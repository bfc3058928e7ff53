"""Whatever an event holds, it is stored, if in a reduced form, and so is the state that it reports."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, models
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, RunState, Verdict
from scenarios.domain.plan import Step
from scenarios.models import Event as EventRow
from scenarios.models import Fault, Run
from scenarios.ports import Event
from scenarios.ports import Fault as LedgerFault
from scenarios.runs import commands as run_commands
from scenarios.runs import leases, ledger, lifecycle
from scenarios.runs.leases import Claim

pytestmark = pytest.mark.django_db

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: odd}
spec: {phases: [{name: p, hold: 1s}]}
"""
STEP = Step("wait", {"duration": "1ms"})
AT = datetime(2026, 1, 1, tzinfo=UTC)


def deep(levels: int) -> list[Any]:
    value: list[Any] = []
    for _level in range(levels):
        value = [value]
    return value


# As a site's own driver, or a defect, could hand them over: by the engine they come cleaned.
ODD = {
    "NaN": float("nan"),
    "infinity": [float("-inf")],
    "NUL": "a\0b",
    "half of a pair": "x\ud83d",
    "half of a pair in a key": {"\udc00": 1},
    "too deep": deep(5000),
    "no JSON": {1, 2},
    "bytes": b"\xff",
    "an integer of many digits": 10**5000,
}


@pytest.fixture
def claim() -> Claim:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claimed = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claimed is not None
    return claimed


@pytest.mark.parametrize("odd", ODD)
def test_an_event_that_cannot_be_stored_is_stored_in_a_reduced_form(claim: Claim, odd: str) -> None:
    events = [
        Event(EventKind.PHASE_STARTED, AT, "p"),
        Event(EventKind.ACTION_FINISHED, AT, "p", "a", {"reason": "it is so", "seen": ODD[odd]}),
        Event(EventKind.PHASE_FINISHED, AT, "p"),
    ]
    leases.append_events(claim, events)
    rows = list(EventRow.objects.order_by("sequence"))
    assert [(row.sequence, row.kind) for row in rows] == [
        (number, event.kind) for number, event in enumerate(events, start=1)
    ]
    assert rows[1].detail["reason"] == "it is so"
    assert Run.objects.get().last_event == 3


@pytest.mark.parametrize("odd", ODD)
def test_a_failed_undo_is_stored_even_if_its_event_cannot_be(claim: Claim, odd: str) -> None:
    fault = open_fault(claim)
    detail = {"reason": "no\ud83d", "seen": ODD[odd]}
    ledger.mark_undo_failed(claim, fault, Event(EventKind.FAULT_UNDO_FAILED, AT, "p", "a", detail))
    row = Fault.objects.get()
    assert (row.state, row.undo_tries, row.reason[:2]) == (FaultState.OUTSTANDING, 1, "no")
    assert EventRow.objects.get(kind="fault_undo_failed").sequence == 2


def open_fault(claim: Claim) -> LedgerFault:
    return ledger.open_fault(
        claim, Event(EventKind.FAULT_INJECTING, AT, "p", "a"), do=STEP, undo=STEP, timeout=5
    )


def test_a_run_ends_even_if_its_reason_cannot_be_stored(claim: Claim) -> None:
    open_fault(claim)
    reason = "half \ud83d " + "…" * 1_000_000
    run = lifecycle.finish_run(claim, Verdict(Outcome.FAILED, reason, Rollback.DIRTY), AT)
    assert (run.state, run.outcome, run.last_event) == (RunState.FINISHED, Outcome.FAILED, 2)
    assert run.reason.startswith("half ")


def test_names_longer_than_their_columns_are_cut(claim: Claim) -> None:
    leases.append_event(claim, Event(EventKind.PHASE_STARTED, AT, "p" * 300, "s" * 300))
    row = EventRow.objects.get()
    assert [len(text) for text in (row.phase, row.subject)] == [200, 200]


def test_an_event_whose_number_is_taken_goes_behind_the_last_one(claim: Claim) -> None:
    """As where parts of two backups were restored."""
    for number in (1, 2, 5):
        EventRow.objects.create(run_id=claim.run_id, sequence=number, kind="phase_started", at=timezone.now())
    leases.append_event(claim, Event(EventKind.PHASE_FINISHED, AT, "p"))
    leases.append_event(claim, Event(EventKind.RUN_FINISHED, AT))
    newest = EventRow.objects.order_by("-sequence").values_list("kind", "sequence")
    assert list(newest[:2]) == [("run_finished", 7), ("phase_finished", 6)]


def test_a_fault_is_marked_even_if_its_message_cannot_be_stored(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_arguments: object, **_named: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT no_such_column")

    monkeypatch.setattr("scenarios.notifications.outbox.write_messages", refused)
    monkeypatch.setattr("scenarios.notifications.outbox.write_fault_messages", refused)
    fault = open_fault(claim)
    ledger.mark_undone(claim, fault, Event(EventKind.FAULT_UNDONE, AT, "p", "a"))
    run = lifecycle.finish_run(claim, Verdict(Outcome.PASSED, "yes", Rollback.CLEAN), AT)
    assert (run.state, Fault.objects.get().state) == (RunState.FINISHED, FaultState.UNDONE)


def test_a_database_that_is_away_is_no_reason_to_reduce_an_event(
    claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_arguments: object, **_named: object) -> None:
        raise OperationalError("server closed the connection")

    monkeypatch.setattr(models.QuerySet, "bulk_create", away)
    with pytest.raises(Exception, match="server closed the connection"):
        leases.append_event(claim, Event(EventKind.PHASE_STARTED, AT, "p"))
    assert Run.objects.get().last_event == 0
