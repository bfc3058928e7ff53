"""The watchdog's duties as they are put together: none waits for another."""

import asyncio
import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from django.db import connection
from django.utils import timezone

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState
from scenarios.domain.plan import Step
from scenarios.models import Fault, Heartbeat, Run
from scenarios.planning import due
from scenarios.ports import Event
from scenarios.runs import leases, ledger
from scenarios.supervision import watchdog
from tests.integration.scenarios.planned_rows import asked_run, minute, scheduled, someone, stored
from tests.servers.loopback import wait_for

pytestmark = pytest.mark.django_db(transaction=True)
WAIT = Step("wait", {"duration": "1ms"})
BEATS = 5


def leave_fault_behind() -> None:
    """As a worker does that is killed; a watchdog may take its run over at once."""
    run = asked_run(None)
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    ledger.open_fault(
        claim, Event(EventKind.FAULT_INJECTING, timezone.now(), "p", "a"), do=WAIT, undo=WAIT, timeout=5
    )
    leases.expire_leases("a:1")
    Run.objects.update(lease_seconds=0)


async def watch_while(condition: Callable[[], None], end_hanging: Callable[[], None]) -> None:
    watched = watchdog.Watchdog()
    watching = asyncio.create_task(watched.watch())
    try:
        await asyncio.to_thread(condition)
    finally:
        end_hanging()
        watched.stop()
        await watching


def test_schedules_that_take_long_to_start_delay_neither_heartbeats_nor_a_take_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stored()
    scheduled(someone("ann", "run_scenario"), due=minute())
    begun, over = threading.Event(), threading.Event()

    def start_slowly(_now: datetime) -> int:
        begun.set()
        over.wait(600)
        return 0

    monkeypatch.setattr(due, "start_due", start_slowly)
    monkeypatch.setattr(watchdog, "ROUND_SECONDS", 0.05)
    beats: set[datetime] = set()

    def look_on() -> None:
        try:
            assert begun.wait(120)
            leave_fault_behind()
            beats.clear()
            wait_for(lambda: count_beats(beats) >= BEATS, what="the watchdog shows itself again and again")
            wait_for(lambda: Fault.objects.get().state == FaultState.UNDONE, what="the fault is undone")
        finally:
            connection.close()

    asyncio.run(watch_while(look_on, over.set))


def count_beats(seen: set[datetime]) -> int:
    seen.update(Heartbeat.objects.filter(name="watchdog").values_list("seen_at", flat=True))
    return len(seen)
