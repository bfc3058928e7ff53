"""Carries a claimed run out, or takes back what a dead worker left: where engine, journal and lease meet."""

import asyncio
import gc
import importlib
import logging
import os
import signal
import socket
from collections.abc import Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.db import DatabaseError
from django.utils import timezone

from scenarios import hosts, leases, log_context, task_queue, unbegun
from scenarios.clock import SystemClock
from scenarios.connections import Lane, fresh
from scenarios.domain.document import build_plan, parse_document
from scenarios.domain.errors import (
    InvalidDocument,
    InvalidVariables,
    LeaseLost,
    LedgerUnreachable,
    StepImpossible,
)
from scenarios.domain.outcomes import Outcome, Rollback, RunState, Verdict
from scenarios.domain.plan import Plan
from scenarios.engine import Engine
from scenarios.gate import RunGate
from scenarios.installed import installed_drivers
from scenarios.journal import DatabaseJournal
from scenarios.leases import Claim
from scenarios.models import Run
from scenarios.outages import describe
from scenarios.ports import Event, Fault
from scenarios.rollback import take_back
from scenarios.steps import StepRunner
from scenarios.surroundings import Platform, step_arguments

logger = logging.getLogger(__name__)

STOP_LOOK_SECONDS = 0.2
RENEWALS_PER_LEASE = 5
# A run whose end breaks in the same way each time must not hide its faults behind another try.
MAX_TAKEOVERS = 3


def process_name(pid: int) -> str:
    """How a process of this host is named where it holds a lease."""
    return f"{socket.gethostname()}:{pid}"


def this_process() -> str:
    return process_name(os.getpid())


def carry_out_next() -> Run | None:
    """Carry out the first run in line. None where none may begin now, or it was lost."""
    claim = leases.claim_next_run(worker=this_process())
    if claim is None:
        task_queue.ask_where_unapproved()
    return _carry_out_claimed(claim) if claim is not None else None


def carry_out(run_id: str, attempt: int) -> Run | None:
    """Carry this run out, if it may begin now. None where there was nothing to claim, or it was lost."""
    claim = leases.claim_run(run_id, attempt, worker=this_process())
    if claim is None:
        task_queue.ask_where_unapproved()
    return _carry_out_claimed(claim) if claim is not None else None


def _carry_out_claimed(claim: Claim) -> Run | None:
    """Carry the claimed run out to its end. None where it was lost, or is queued again.

    Must be called in the process's main thread: SIGTERM and SIGINT end the run `interrupted`, with its
    faults undone, and are then handed on to whoever handled them before.
    """
    with log_context.binding(run_id=str(claim.run_id)):
        try:
            run = Run.objects.get(id=claim.run_id)
            logger.info("The run of %s begins, attempt %s", run.scenario_name, run.attempt)
            with few_collected():
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
    tell_queue_of_next()
    return ended


@contextmanager
def few_collected() -> Iterator[None]:
    """Keep the garbage collector to what is made meanwhile.

    It would stop the event loop for a tenth of a second, to look through all that Django has loaded.
    """
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def tell_queue_of_next() -> None:
    """After a run has ended, or let go of a service: whoever may begin now need not wait for a watchdog."""
    try:
        fresh(task_queue.knock_waiting)()
    except DatabaseError as error:
        logger.warning("The queue could not be told of the next run: %s", describe(error))


def give_back_unbegun(claim: Claim, error: Exception) -> bool:
    """Whether the run is queued again. Where the database is away, the watchdog gives it back later."""
    try:
        run = fresh(unbegun.give_back)(claim, describe(error))
    except DatabaseError:
        return False
    if run is None:
        return False
    logger.warning(
        "The run of %s could not begin and is queued again: %s", run.scenario_name, describe(error)
    )
    return True


def journal_of(run: Run, claim: Claim, renewals: Lane | None = None) -> DatabaseJournal:
    return DatabaseJournal(
        claim,
        scenario=run.scenario_name,
        clock=SystemClock(),
        lease_seconds=settings.LEASE_SECONDS,
        renewals=renewals,
    )


async def _carry_out(run: Run, claim: Claim) -> Run:
    journal = journal_of(run, claim)
    try:
        plan = plan_of(run)
    except (InvalidDocument, InvalidVariables) as error:
        return await journal.finish(Verdict(Outcome.ERRORED, f"the document no longer fits: {error}"))
    engine = Engine(
        plan,
        drivers=installed_drivers(),
        surroundings=await journal.write(Platform, run.addresses),
        clock=SystemClock(),
        journal=journal,
        ledger=journal,
        late_seconds=settings.LATE_INJECTION_SECONDS,
        gate=RunGate(run),
    )
    with signals_end(engine):
        keeper = asyncio.create_task(keep_lease(engine, journal))
        try:
            started = {"attempt": run.attempt, "worker": run.worker, "variables": run.variables}
            await journal.record(Event("run_started", SystemClock().now(), detail=started))
            await asyncio.to_thread(load_libraries, plan)
            return await _end(run, journal, await engine.carry_out(), plan.retry_interrupted)
        finally:
            keeper.cancel()
            await journal.close()


def load_libraries(plan: Plan) -> None:
    """Import what the drivers of the plan's steps need: in the event loop it would stand still meanwhile."""
    drivers = installed_drivers()
    for name in {step.driver for step in plan.steps()}:
        for library in getattr(drivers.get(name), "libraries", ()):
            importlib.import_module(library)


async def _end(run: Run, journal: DatabaseJournal, verdict: Verdict, retries: int) -> Run:
    """Finish the run; one that was interrupted and has retries left is queued again instead.

    Not where a fault may still be injected, for a second attempt would begin on top of it; nor where
    somebody wants the run stopped.
    """
    again = verdict.outcome is Outcome.INTERRUPTED and verdict.rollback is Rollback.CLEAN
    if again and run.attempt <= retries and (queued := await journal.queue_again(verdict.reason)) is not None:
        return queued
    return await journal.finish(verdict)


def plan_of(run: Run) -> Plan:
    """The plan of the run's own document, as it was when the run was started."""
    return build_plan(parse_document(run.document, step_arguments()), run.variables)


def _plan_if_it_fits(run: Run) -> Plan | None:
    try:
        return plan_of(run)
    except (InvalidDocument, InvalidVariables):
        return None
    except Exception:  # what is broken here must not keep faults from being undone
        logger.exception("The document of the run cannot be read: its faults are undone without it")
        return None


async def keep_lease(engine: Engine, journal: DatabaseJournal) -> None:
    """Renew the lease, and look for a request to stop, until cancelled: neither waits for the other."""
    await asyncio.gather(
        _while_held(engine, _renew(journal)), _while_held(engine, _look_for_stop(engine, journal))
    )


async def _while_held(engine: Engine, keeping: Coroutine[Any, Any, None]) -> None:
    try:
        await keeping
    except LedgerUnreachable:
        engine.abandon(taking_back=True)
    except LeaseLost:
        engine.abandon()
    except Exception:
        # Whatever it is: nobody renews the lease any more, or nobody hears of a stop.
        logger.exception("The lease cannot be renewed: the run is given up, and its faults are taken back")
        engine.abandon(taking_back=True)


async def _look_for_stop(engine: Engine, journal: DatabaseJournal) -> None:
    while True:
        await asyncio.sleep(STOP_LOOK_SECONDS)
        if (who := await journal.stop_request()) is not None:
            engine.end(Outcome.ABORTED, f"stopped by {who}")


async def _renew(journal: DatabaseJournal) -> None:
    while True:
        await asyncio.sleep(settings.LEASE_SECONDS / RENEWALS_PER_LEASE)
        await journal.renew()


@contextmanager
def signals_end(engine: Engine) -> Iterator[None]:
    """SIGTERM and SIGINT end the run instead of the process; then they are sent again to this process."""
    received: list[int] = []
    loop = asyncio.get_running_loop()
    handlers: dict[int, Any] = {
        int(number): signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)
    }

    def end(number: int) -> None:
        received.append(number)
        engine.end(Outcome.INTERRUPTED, "the worker was shut down")

    for number in handlers:
        loop.add_signal_handler(number, end, number)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)
        for number in received[:1]:
            os.kill(os.getpid(), number)


async def take_back_left_behind(
    run: Run, claim: Claim, renewals: Lane | None = None, *, only_due: bool = False
) -> Run:
    """Undo, once each, what is still in the ledger of a run whose worker is gone or which has ended.

    A run that was still running ends `interrupted`, or is queued as its next attempt where the scenario
    says so. A failing undo stays outstanding, and so does a fault that only another host can undo. What was
    undone and may still arrive is undone again; with `only_due` only when it is time for that. `renewals` is
    the thread in which leases are renewed, where several such runs share one.
    """
    journal = journal_of(run, claim, renewals)
    if run.state == RunState.RUNNING and (queued := await _give_back(run, journal, claim)) is not None:
        return queued
    clock = SystemClock()
    if run.state == RunState.RUNNING and (run.takeovers or 0) >= MAX_TAKEOVERS:
        reason = f"it was taken over {MAX_TAKEOVERS} times and could not be ended: see the watchdog's log"
        return await journal.give_up(reason)
    platform = await journal.write(Platform, run.addresses)
    steps = StepRunner(installed_drivers(), platform, clock, gate=RunGate(run))
    renewing = asyncio.create_task(_renew_while_held(journal))
    plan = await asyncio.to_thread(_plan_if_it_fits, run)
    if plan is not None:
        with suppress(StepImpossible):  # of another step: an undo that lacks a secret says so itself
            steps.learn_secrets(plan.secrets())
    try:
        if run.state == RunState.RUNNING:
            await journal.record(Event("run_taken_over", clock.now(), detail={"from": run.worker}))
        here, elsewhere = by_host(await journal.remaining())
        if run.state == RunState.FINISHED:
            # What may still arrive on another host is looked after there.
            here += by_host(await journal.awaited(due=clock.now() if only_due else None))[0]
        await take_back(here, ledger=journal, steps=steps, clock=clock, delays=())
        for fault in elsewhere:
            await journal.mark_waiting_for_host(fault, hosts.waiting_reason(fault.host))
        if run.state == RunState.RUNNING:
            reason = f"its worker {run.worker} died or lost its lease"
            verdict = Verdict(Outcome.INTERRUPTED, reason, await journal.rollback())
            return await _end(run, journal, verdict, plan.retry_interrupted if plan else 0)
    finally:
        renewing.cancel()
        await journal.close()
        await journal.write(leases.release, claim)
    return await journal.write(Run.objects.get, id=run.id)


async def _give_back(run: Run, journal: DatabaseJournal, claim: Claim) -> Run | None:
    return await journal.write(unbegun.give_back, claim, f"its worker {run.worker} died or lost its lease")


def by_host(faults: Iterable[Fault]) -> tuple[list[Fault], list[Fault]]:
    """The faults that a process of this host can undo, and those that it cannot."""
    names = ("", hosts.this_host())
    found = list(faults)
    return [one for one in found if one.host in names], [one for one in found if one.host not in names]


def undo_now(run: Run) -> Run | None:
    """Undo what an ended or abandoned run left behind. None while its worker, or another, holds it."""
    if run.state == RunState.FINISHED:
        claim = leases.claim_finished_run(run.id, worker=this_process())
    else:
        ran_out = run.lease_until is not None and run.lease_until < timezone.now()
        claim = leases.take_over_run(run, worker=this_process()) if ran_out else None
    if claim is None:
        return None
    ended = asyncio.run(take_back_left_behind(run, claim))
    if ended.state == RunState.FINISHED:
        tell_queue_of_next()
    return ended


def clean_up_after(worker: str) -> list[Run]:
    """Take over, at once, the runs of a worker that is known to be dead; return them as they then stand."""
    leases.expire_leases(worker)
    taken = (undo_now(run) for run in Run.objects.running().filter(worker=worker))
    return [run for run in taken if run is not None]


async def _renew_while_held(journal: DatabaseJournal) -> None:
    with suppress(LeaseLost):
        await _renew(journal)
