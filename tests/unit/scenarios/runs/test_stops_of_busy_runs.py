"""A stop is heard at once however many events wait for a slow database; in virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Phase, Plan, Validation
from scenarios.engine.engine import Engine
from scenarios.ports import Event, Fault
from scenarios.runs import (
    event_queue,
    executor,
    journal,
    late_protection,
    leases,
    ledger_entries,
    stop_requests,
)
from scenarios.runs.leases import Claim
from tests.fakes import FakeClock, NoServices, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import HEALTHY, say

VALIDATIONS = 999
EVENTS = 2 + 3 * VALIDATIONS
SECONDS_PER_EVENT = 0.02
SECONDS_PER_CALL = 0.02
LEASE_SECONDS = 15.0
NEVER = float("inf")


class SlowDatabase:
    """What the journal writes, and how long it takes in virtual time.

    The threads of the journal, and the database's functions, are replaced: a thread waits for real time.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.stop_asked_at = NEVER
        self.renewed = 0
        self._writer = asyncio.Lock()
        self._owed = 0.0

    def append_events(self, _claim: Claim, events: Sequence[Event]) -> None:
        self.events += events
        self._owed += SECONDS_PER_EVENT * len(events)

    def renew_lease(self, _claim: Claim) -> None:
        self.renewed += 1

    def find_stop_request(self, _claim: Claim) -> str | None:
        return "ann" if asyncio.get_running_loop().time() >= self.stop_asked_at else None

    def write_in_turn(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """In place of sync_to_async, whose one thread makes one call after the other."""

        async def call(*arguments: Any, **named: Any) -> Any:
            async with self._writer:
                result = function(*arguments, **named)
                owed, self._owed = self._owed, 0.0
                await asyncio.sleep(SECONDS_PER_CALL + owed)
                return result

        return call


class VirtualThread:
    """In place of DatabaseThread."""

    def __init__(self, _name: str) -> None:
        self._turn = asyncio.Lock()

    async def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        async with self._turn:
            await asyncio.sleep(SECONDS_PER_CALL)
            return function(*arguments)


def no_faults(_claim: Claim) -> Sequence[Fault]:
    return ()


def is_clean(_run: UUID) -> Rollback:
    return Rollback.CLEAN


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> SlowDatabase:
    slow = SlowDatabase()
    monkeypatch.setattr(leases, "append_events", slow.append_events)
    monkeypatch.setattr(leases, "renew_lease", slow.renew_lease)
    monkeypatch.setattr(stop_requests, "find_stop_request", slow.find_stop_request)
    monkeypatch.setattr(late_protection.ProtectionLook, "find_unapproved", lambda _self: ())
    monkeypatch.setattr(ledger_entries, "list_faults_to_undo", no_faults)
    monkeypatch.setattr(ledger_entries, "read_rollback", is_clean)
    monkeypatch.setattr(journal, "sync_to_async", slow.write_in_turn)
    monkeypatch.setattr(journal, "reconnecting", lambda function: function)
    monkeypatch.setattr(journal, "DatabaseThread", VirtualThread)
    clock = SimpleNamespace(perf_counter=lambda: asyncio.get_running_loop().time())
    monkeypatch.setattr(event_queue, "time", clock)
    return slow


async def carry_out() -> tuple[Verdict, float]:
    """The verdict of a run of many validations, and when it was reached."""
    checks = tuple(Validation(f"v{number}", say("look"), HEALTHY) for number in range(VALIDATIONS))
    clock = FakeClock()
    writing = journal.DatabaseJournal(
        Claim(UUID(int=1), 1), scenario="busy", clock=clock, lease_seconds=LEASE_SECONDS
    )
    engine = Engine(
        Plan("busy", (Phase("look", validations=checks),), timeout=3600),
        drivers={"target": ScriptedDriver()},
        platform=NoServices(),
        clock=clock,
        journal=writing,
        ledger=writing,
    )
    keeper = asyncio.create_task(executor.keep_lease(engine, writing))
    try:
        return await engine.carry_out(), clock.monotonic()
    finally:
        keeper.cancel()


@pytest.mark.parametrize("asked_at", [0.0, 0.1, 5.0])
def test_a_stop_ends_the_run_within_a_second(database: SlowDatabase, asked_at: float) -> None:
    database.stop_asked_at = asked_at
    verdict, ended_at = run_in_virtual_time(carry_out())
    assert (verdict.outcome, verdict.reason) == (Outcome.ABORTED, "stopped by ann")
    assert ended_at - asked_at <= 1.0
    assert len(database.events) < EVENTS, "nothing waited to be written"


def test_without_a_stop_every_validation_passes_and_the_lease_is_renewed(database: SlowDatabase) -> None:
    verdict, ended_at = run_in_virtual_time(carry_out())
    assert verdict.outcome is Outcome.PASSED
    assert len(database.events) == EVENTS
    assert ended_at >= EVENTS * SECONDS_PER_EVENT
    assert database.renewed >= ended_at / LEASE_SECONDS
