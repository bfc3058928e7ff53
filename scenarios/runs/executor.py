"""Carries out a claimed run: engine, journal, lease and signals meet here."""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from django.conf import settings
from django.db import DatabaseError

from scenarios.database.connections import DatabaseThread, reconnecting
from scenarios.domain import log_context
from scenarios.domain.errors import InvalidDocument, InvalidVariables, LeaseLost, LedgerUnreachable
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outages import describe
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Plan
from scenarios.domain.trace_context import tracing_run
from scenarios.drivers.documents import read_document
from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import SitePlatform
from scenarios.engine.clock import SystemClock
from scenarios.engine.engine import Engine
from scenarios.language.built_ins import RunFacts
from scenarios.language.document import build_plan
from scenarios.load.process import LoadProcesses
from scenarios.models import Run
from scenarios.ports import Event
from scenarios.runs import late_protection, leases, stop_requests, task_queue, unbegun
from scenarios.runs.gate import RunGate
from scenarios.runs.journal import DatabaseJournal
from scenarios.runs.leases import Claim
from scenarios.runs.load_book import LoadBook
from scenarios.runs.look_book import LookBook
from scenarios.runs.regressions import settle_figures

logger = logging.getLogger(__name__)
RENEWALS_PER_LEASE = 5
# In seconds. A shorter lease would end faults on a busy machine that only renews late.
MIN_FAULT_LEASE = 5.0


def process_name(pid: int) -> str:
    """The name of a process of this host, as the holder of a lease."""
    return f"{socket.gethostname()}:{pid}"


def this_process() -> str:
    return process_name(os.getpid())


def carry_out_next() -> Run | None:
    """Carry out the first run in line. Returns None if no run may begin now, or if it was lost."""
    claim = leases.claim_next_run(worker=this_process())
    if claim is None:
        task_queue.ask_for_missing_approvals()
    return _carry_out_claimed(claim) if claim is not None else None


def carry_out(run_id: str, attempt: int) -> Run | None:
    """Carry this run out, if it may begin now. Returns None if it could not be claimed, or was lost."""
    claim = leases.claim_run(run_id, attempt, worker=this_process())
    if claim is None:
        task_queue.ask_for_missing_approvals()
    return _carry_out_claimed(claim) if claim is not None else None


def _carry_out_claimed(claim: Claim) -> Run | None:
    """Carry the claimed run out to its end. Returns None if it was lost, or is queued again.

    Must be called in the process's main thread: SIGTERM and SIGINT end the run `interrupted`, with its
    faults undone, and are then passed to the earlier handlers.
    """
    with log_context.binding(run_id=str(claim.run_id)):
        try:
            run = Run.objects.get(id=claim.run_id)
            logger.info("The run of %s begins, attempt %s", run.scenario_name, run.attempt)
            with freeze_garbage_collector(), tracing_run(run.id, run.attempt):
                ended = asyncio.run(_carry_out(run, claim))
        except LeaseLost as error:
            logger.warning("The run was lost: %s", error)
            give_back_unbegun(claim, error)
            return None
        except Exception as error:
            if give_back_unbegun(claim, error):
                return None
            raise
        logger.info("The run of %s: %s", run.scenario_name, ended.verdict)
    enqueue_next_runs()
    return ended


@contextmanager
def freeze_garbage_collector() -> Iterator[None]:
    """Limit the garbage collector to objects made from now on.

    It would stop the event loop for a tenth of a second, to look through all that Django has loaded.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def enqueue_next_runs() -> None:
    """Enqueue runs after one has ended or released a service, so that they need not wait for a watchdog."""
    try:
        reconnecting(task_queue.enqueue_waiting_runs)()
    except DatabaseError as error:
        logger.warning("The next run could not be enqueued: %s", describe(error))


def give_back_unbegun(claim: Claim, error: Exception) -> bool:
    """Whether the run is queued again. Where the database is away, the watchdog gives it back later."""
    try:
        run = reconnecting(unbegun.give_back)(claim, describe(error))
    except DatabaseError:
        return False
    if run is None:
        return False
    logger.warning(
        "The run of %s could not begin and is queued again: %s", run.scenario_name, describe(error)
    )
    return True


def build_journal(run: Run, claim: Claim, renewals: DatabaseThread | None = None) -> DatabaseJournal:
    return DatabaseJournal(
        claim,
        scenario=run.scenario_name,
        clock=SystemClock(),
        lease_seconds=settings.LEASE_SECONDS,
        renewals=renewals,
        environment=run.environment,
    )


async def _carry_out(run: Run, claim: Claim) -> Run:
    journal = build_journal(run, claim)
    try:
        plan = build_run_plan(run)
    except (InvalidDocument, InvalidVariables) as error:
        return await journal.finish(Verdict(Outcome.ERRORED, f"the document no longer fits: {error}"))
    book = LookBook(plan, claim, run.attempt)
    engine = Engine(
        plan,
        drivers=installed_drivers(),
        platform=await journal.write(SitePlatform, run.addresses, run.pinned, run.environment),
        clock=SystemClock(),
        journal=journal,
        ledger=journal,
        late_seconds=settings.LATE_INJECTION_SECONDS,
        fault_lease_seconds=max(MIN_FAULT_LEASE, settings.LEASE_SECONDS),
        gate=RunGate(run),
        note_look=book.note,
        load_starter=LoadProcesses(),
    )
    loads = LoadBook(engine.list_loads_so_far, claim, run.attempt)
    with end_on_signals(engine):
        keeper = asyncio.create_task(keep_lease(engine, journal))
        keeping = [asyncio.create_task(each.keep(journal)) for each in (book, loads)]
        try:
            started = {"attempt": run.attempt, "worker": run.worker, "variables": run.variables}
            await journal.record(Event(EventKind.RUN_STARTED, SystemClock().now(), detail=started))
            await asyncio.to_thread(load_libraries, plan)
            verdict = await engine.carry_out()
            await book.write(journal)
            await loads.clear(journal)
            verdict = await journal.write(settle_figures, claim, plan.regression, verdict)
            return await end_run(run, journal, verdict, plan.retry_interrupted)
        finally:
            for task in (*keeping, keeper):
                task.cancel()
            await journal.close()


def load_libraries(plan: Plan) -> None:
    """Import what the drivers of the plan's steps need; in the event loop, imports would block it."""
    drivers = installed_drivers()
    for name in {step.driver for step in plan.steps()}:
        for library in getattr(drivers.get(name), "libraries", ()):
            importlib.import_module(library)


async def end_run(run: Run, journal: DatabaseJournal, verdict: Verdict, retries: int) -> Run:
    """Finish the run; one that was interrupted and has retries left is queued again instead.

    Not where a fault may still be injected, because the next attempt would begin on top of it; nor where
    somebody wants the run stopped.
    """
    again = verdict.outcome is Outcome.INTERRUPTED and verdict.rollback is Rollback.CLEAN
    if again and run.attempt <= retries and (queued := await journal.queue_again(verdict.reason)) is not None:
        return queued
    return await journal.finish(verdict)


def build_run_plan(run: Run) -> Plan:
    """The plan of the run's own document, as it was when the run was started."""
    facts = RunFacts(run.id, run.attempt, run.claimed_at)
    return build_plan(read_document(run.document, run.included or {}), run.variables, facts)


def find_fitting_plan(run: Run) -> Plan | None:
    try:
        return build_run_plan(run)
    except (InvalidDocument, InvalidVariables):
        return None
    except Exception:  # what is broken here must not keep faults from being undone
        logger.exception("The document of the run cannot be read: its faults are undone without it")
        return None


async def keep_lease(engine: Engine, journal: DatabaseJournal) -> None:
    """Renew the lease, and look for what ends the run, until cancelled: neither waits for the other."""
    await asyncio.gather(
        _abandon_when_lost(engine, renew_until_lost(journal)),
        _abandon_when_lost(engine, stop_requests.end_when_stopped(engine, journal.find_stop_request)),
        _abandon_when_lost(engine, late_protection.end_when_protected(engine, journal.find_unapproved)),
    )


async def _abandon_when_lost(engine: Engine, keeping: Coroutine[Any, Any, None]) -> None:
    try:
        await keeping
    except LedgerUnreachable:
        engine.abandon(is_cut_off=True)
    except LeaseLost:
        engine.abandon()
    except Exception:
        # Whatever the error is: the lease is no longer renewed, or a stop no longer noticed.
        logger.exception("The lease cannot be renewed: the run is given up, and its faults are undone")
        engine.abandon(is_cut_off=True)


async def renew_until_lost(journal: DatabaseJournal) -> None:
    while True:
        await asyncio.sleep(settings.LEASE_SECONDS / RENEWALS_PER_LEASE)
        await journal.renew()


@contextmanager
def end_on_signals(engine: Engine) -> Iterator[None]:
    """SIGTERM and SIGINT end the run instead of the process; then they are sent again to this process."""
    received: list[int] = []
    loop = asyncio.get_running_loop()
    handlers: dict[int, Any] = {
        int(number): signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
    }

    def end() -> None:
        engine.end(Outcome.INTERRUPTED, "the worker was shut down")

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    for number in handlers:
        loop.add_signal_handler(number, end)
        # The loop alone would lose a signal that comes after its last turn. It wakes up as before.
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        for number in received[:1]:
            os.kill(os.getpid(), number)
