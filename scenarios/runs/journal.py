"""The engine's journal and ledger: rows in the database, and the scenario metrics that follow from them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from asgiref.sync import sync_to_async
from django.db import Error

from scenarios.database.connections import DatabaseThread, reconnecting
from scenarios.database.errors import is_away
from scenarios.domain.errors import LedgerUnreachable
from scenarios.domain.event_kinds import STEP_OUTCOMES, EventKind, Topic
from scenarios.domain.outcomes import FaultState, Rollback, Verdict
from scenarios.domain.outputs import KEPT_CHARACTERS, limit_detail, make_storable, truncate
from scenarios.domain.plan import Action
from scenarios.models import Run
from scenarios.ports import Clock, Event, Fault, UndoResult
from scenarios.published.metrics import (
    CHAOS_EVENTS,
    EXPIRED_FAULTS,
    FINISHED_RUNS,
    LOST_FAULTS,
    RUN_DURATION,
    TIME_TO_PASS,
    VALIDATIONS,
)
from scenarios.runs import late_protection, leases, ledger, ledger_entries, lifecycle, stop_requests
from scenarios.runs.event_queue import EventQueue
from scenarios.runs.leases import Claim

T = TypeVar("T")
RETRY_SECONDS = 0.25
LOOK_SECONDS = 0.5
CLOSE_SECONDS = 1.0
# How often a call without an answer is looked at, once the lease is over, before it is given up.
MAX_LOOKS = 10


class DatabaseJournal:
    """Journal and ledger of one claimed run.

    A database that is away, or does not answer, is waited for as long as the lease that was renewed last is
    good: after that another process may have taken the run over, and LedgerUnreachable is raised.

    Events and changes of faults are written one after the other; the lease is renewed, and a stop looked for,
    beside them, each in a separate thread. `renewals` may be shared by several runs.
    """

    def __init__(
        self,
        claim: Claim,
        *,
        scenario: str,
        clock: Clock,
        lease_seconds: float,
        renewals: DatabaseThread | None = None,
        environment: str = "",
    ) -> None:
        self._claim = claim
        self._environment = environment
        self._scenario = scenario
        self._clock = clock
        self._lease_seconds = lease_seconds
        self._held_until = clock.monotonic() + lease_seconds
        self._queue = EventQueue(self._write_events)
        self._own = [DatabaseThread("stop"), DatabaseThread("lease")]
        self._looks, self._renewals = self._own[0], renewals or self._own[1]
        self._protection = late_protection.ProtectionLook(claim)
        self._is_renewed = asyncio.Event()
        self._is_renewed.set()

    async def close(self) -> None:
        """Close this journal's own connections; without waiting for a database that does not answer."""
        await asyncio.wait(
            [asyncio.ensure_future(database.close()) for database in self._own], timeout=CLOSE_SECONDS
        )

    async def renew(self) -> None:
        begun = self._clock.monotonic()
        # SQLite lets one write at a time, and not the one that waits longest: what else this run has to
        # write waits until then.
        self._is_renewed.clear()
        try:
            await self._ask(partial(self._renewals.call, leases.renew_lease, self._claim))
        finally:
            self._is_renewed.set()
        self._held_until = begun + self._lease_seconds

    async def find_stop_request(self) -> str | None:
        """Who asked for the run's end, if anyone did; never waits behind what the run writes."""
        return await self._ask(partial(self._looks.call, stop_requests.find_stop_request, self._claim))

    async def find_unapproved(self) -> Sequence[str]:
        """What the run touches that has become protected, without an approval for it."""
        return await self._ask(partial(self._looks.call, self._protection.find_unapproved))

    async def write(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        """Call the function after all that was asked before it; it may be called twice.

        It is called again if the first answer was lost with the connection.
        """
        ask = partial(sync_to_async(reconnecting(function)), *arguments, **named)
        return await self._queue.call(partial(self._ask, ask))

    async def _write_events(self, events: Sequence[Event]) -> None:
        def append() -> None:
            kept = [replace(event, detail=limit_detail(event.detail)) for event in events]
            leases.append_events(self._claim, kept)

        await self._once(events[-1], append, lambda: None)

    async def _write(
        self, event: Event, function: Callable[..., T], *arguments: Any, found: Callable[[], T], **named: Any
    ) -> T:
        """Call the function, which writes the event and what it reports, in its turn."""
        bound = partial(function, self._claim, *arguments, **named)
        return await self._queue.call(partial(self._once, event, bound, found))

    async def _once(self, event: Event, write: Callable[[], T], found: Callable[[], T]) -> T:
        """Write, once: where the answer of a try was lost with the connection, its event is looked for."""
        tried = False

        def write_or_find() -> T:
            nonlocal tried
            is_written = tried and leases.is_written(self._claim, event)
            tried = True
            return found() if is_written else write()

        await self._is_renewed.wait()
        return await self._ask(sync_to_async(reconnecting(write_or_find)))

    async def _ask(self, call: Callable[[], Awaitable[T]]) -> T:
        """The call's result; it is made again and again while the database is away."""
        while True:
            try:
                return await self._answer(call())
            except Error as error:
                if not is_away(error):
                    raise
                if not self.is_held():
                    raise LedgerUnreachable(
                        f"the database was away for longer than the lease: {error}"
                    ) from error
                await self._clock.sleep(RETRY_SECONDS)

    async def _answer(self, call: Awaitable[T]) -> T:
        """The database's answer, or LedgerUnreachable: a database that hangs, as behind a lock, gives none.

        Looks are counted, not seconds: a process that was stopped, and finds its lease over when it wakes,
        still reads what the database has answered in between.
        """
        asked = asyncio.ensure_future(call)
        looks = 0
        try:
            while not (await asyncio.wait({asked}, timeout=LOOK_SECONDS))[0]:
                looks = 0 if self.is_held() else looks + 1
                if looks == MAX_LOOKS:
                    raise LedgerUnreachable("the database did not answer for longer than the lease")
            return asked.result()
        finally:
            asked.cancel()

    def is_held(self) -> bool:
        return self._clock.monotonic() < self._held_until

    async def record(self, event: Event) -> None:
        await self._queue.record(event)
        self._count(event)

    async def open(
        self,
        *,
        phase: str,
        action: Action,
        address: str,
        late_seconds: float,
        lease_seconds: float = 0.0,
        touched: frozenset[str] = frozenset(),
    ) -> Fault:
        event = self._event(EventKind.FAULT_INJECTING, phase, action.name)
        return await self._write(
            event,
            ledger.open_fault,
            event,
            found=partial(ledger_entries.find_opened, self._claim, event),
            do=action.do,
            undo=action.undo,
            timeout=action.undo_timeout,
            proof=action.undone,
            address=address,
            late_seconds=late_seconds,
            lease_seconds=lease_seconds,
            touched=touched,
            fault_id=action.fault_id,
            environment=self._environment,
        )

    async def mark_waiting_for_host(self, fault: Fault, reason: str) -> None:
        await self._mark(ledger.mark_waiting_for_host, fault, EventKind.FAULT_WAITING_FOR_HOST, reason=reason)

    async def complete(self, fault: Fault) -> None:
        await self.write(ledger.complete_fault, self._claim, fault)

    async def mark_active(self, fault: Fault) -> None:
        await self._mark(ledger.mark_active, fault, EventKind.FAULT_INJECTED)
        self._count_chaos(fault.driver, "injected")

    async def mark_not_injected(self, fault: Fault, reason: str) -> None:
        await self._mark(ledger.mark_not_injected, fault, EventKind.FAULT_NOT_INJECTED, reason=reason)

    async def note_renewed(self, faults: Sequence[Fault], at: datetime) -> None:
        await self.write(ledger.note_renewed, self._claim, faults, at)

    async def mark_lost(self, fault: Fault, reason: str) -> None:
        await self.record(self._event(EventKind.FAULT_LOST, fault.phase, fault.action, reason=reason))
        LOST_FAULTS.labels(scenario=self._scenario, driver=fault.driver).inc()

    async def mark_undone(self, fault: Fault, result: UndoResult) -> None:
        detail = _places(result)
        has_expired = result.was_gone and fault.is_leased
        if has_expired and await self.write(ledger_entries.has_expired, fault, self._clock.now()):
            detail["expired"] = True

        def change(claim: Claim, fault: Fault, event: Event) -> FaultState:
            return ledger.mark_undone(claim, fault, event, result)

        state = await self._mark(change, fault, EventKind.FAULT_UNDONE, **detail)
        if state == FaultState.UNDONE:
            self._count_chaos(fault.driver, "undone")
            if "expired" in detail:
                EXPIRED_FAULTS.labels(scenario=self._scenario, driver=fault.driver).inc()

    async def mark_undo_failed(self, fault: Fault, result: UndoResult) -> None:
        detail = {"reason": result.reason, **_places(result)}
        await self._mark(ledger.mark_undo_failed, fault, EventKind.FAULT_UNDO_FAILED, **detail)
        self._count_chaos(fault.driver, "undo_failed")

    async def remaining(self) -> Sequence[Fault]:
        return await self.write(ledger_entries.list_faults_to_undo, self._claim)

    async def awaited(self, *, due: datetime | None = None) -> Sequence[Fault]:
        return await self.write(ledger_entries.list_awaited_faults, self._claim, due=due)

    async def due_again(self, at: datetime) -> Sequence[Fault] | None:
        return await self.write(ledger_entries.list_faults_due_again, self._claim, at)

    async def find_new_address(self, fault: Fault) -> str:
        return await self.write(ledger_entries.find_new_address, fault, self._environment)

    async def rollback(self) -> Rollback:
        return await self.write(ledger_entries.read_rollback, self._claim.run_id)

    async def queue_again(self, reason: str) -> Run | None:
        at = self._clock.now()
        event = Event(EventKind.RUN_QUEUED_AGAIN, at)
        return await self._write(event, lifecycle.queue_run_again, reason, at, found=self._row)

    async def give_up(self, reason: str) -> Run:
        at = self._clock.now()
        return await self._write(
            Event(EventKind.RUN_FINISHED, at), lifecycle.give_up_run, reason, at, found=self._row
        )

    async def finish(self, verdict: Verdict) -> Run:
        at = self._clock.now()
        kept = replace(verdict, reason=truncate(make_storable(verdict.reason), KEPT_CHARACTERS))
        event = Event(EventKind.RUN_FINISHED, at)
        run = await self._write(event, lifecycle.finish_run, kept, at, found=self._row)
        labels = {"scenario": self._scenario, "outcome": verdict.outcome.value}
        FINISHED_RUNS.labels(**labels).inc()
        if run.took is not None:
            # Between two readings of the wall clock, which may have been set back.
            seconds = max(0.0, run.took.total_seconds())
            RUN_DURATION.labels(**labels).observe(seconds)
        return run

    def _row(self) -> Run:
        return Run.objects.get(id=self._claim.run_id)

    def _event(self, kind: EventKind, phase: str, action: str, **detail: Any) -> Event:
        return Event(kind, self._clock.now(), phase, action, limit_detail(detail))

    async def _mark(
        self,
        change: Callable[[Claim, Fault, Event], FaultState | None],
        fault: Fault,
        kind: EventKind,
        **detail: Any,
    ) -> FaultState | None:
        event = self._event(kind, fault.phase, fault.action, **detail)
        return await self._write(event, change, fault, event, found=partial(ledger_entries.find_state, fault))

    def _count(self, event: Event) -> None:
        """The metrics of an event, once it is durable."""
        if event.kind == EventKind.ACTION_FAILED and event.detail.get("fault"):
            self._count_chaos(event.detail["driver"], "failed")
        outcome = STEP_OUTCOMES.get(event.kind)
        if outcome is None or event.kind.topic is not Topic.VALIDATION:
            return
        VALIDATIONS.labels(scenario=self._scenario, outcome=outcome).inc()
        if (seconds := event.detail.get("time_to_pass")) is not None:
            TIME_TO_PASS.labels(scenario=self._scenario, phase=event.phase).observe(seconds)

    def _count_chaos(self, driver: str, what: str) -> None:
        CHAOS_EVENTS.labels(scenario=self._scenario, driver=driver, event=what).inc()


def _places(result: UndoResult) -> dict[str, Any]:
    """Where it was undone, for an event's detail."""
    return {"places": dict(result.places)} if result.places else {}
