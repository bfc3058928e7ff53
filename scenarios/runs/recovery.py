"""Takes over runs whose worker died, and undoes what ended runs left behind."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from django.utils import timezone

from scenarios.database.connections import DatabaseThread
from scenarios.domain.errors import LeaseLost, StepImpossible
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, RunState, Verdict
from scenarios.domain.trace_context import tracing_run
from scenarios.drivers import hosts
from scenarios.drivers.installed import installed_drivers
from scenarios.drivers.platform import SitePlatform
from scenarios.engine.clock import SystemClock
from scenarios.engine.rollback import undo_all
from scenarios.engine.steps import StepRunner
from scenarios.models import Run
from scenarios.ports import Event, Fault
from scenarios.runs import leases, unbegun
from scenarios.runs.executor import (
    build_journal,
    end_run,
    enqueue_next_runs,
    find_fitting_plan,
    renew_until_lost,
    this_process,
)
from scenarios.runs.gate import RunGate
from scenarios.runs.journal import DatabaseJournal
from scenarios.runs.leases import Claim

# A run whose end breaks in the same way each time must not hide its faults behind another try.
MAX_TAKEOVERS = 3


async def undo_left_behind(
    run: Run, claim: Claim, renewals: DatabaseThread | None = None, *, only_due: bool = False
) -> Run:
    """Undo, once each, what is still in the ledger of a run whose worker is gone or which has ended.

    A run that was still running ends `interrupted`, or is queued as its next attempt where the scenario
    says so. A failing undo stays outstanding, and so does a fault that only another host can undo. What was
    undone and may still arrive is undone again; with `only_due` only when it is time for that. `renewals` is
    the thread in which leases are renewed, where several such runs share one.
    """
    journal = build_journal(run, claim, renewals)
    if run.state == RunState.RUNNING and (ended := await _end_without_undo(run, journal, claim)) is not None:
        return ended
    clock = SystemClock()
    platform = await journal.write(SitePlatform, run.addresses, run.pinned, run.environment)
    steps = StepRunner(installed_drivers(), platform, clock, gate=RunGate(run))
    renewing = asyncio.create_task(_renew_while_held(journal))
    plan = await asyncio.to_thread(find_fitting_plan, run)
    if plan is not None:
        with suppress(StepImpossible):  # an undo that lacks a secret reports it
            steps.learn_secrets(plan.secrets())
    try:
        if run.state == RunState.RUNNING:
            await journal.record(Event(EventKind.RUN_TAKEN_OVER, clock.now(), detail={"from": run.worker}))
        here, elsewhere = split_by_host(await journal.remaining())
        if run.state == RunState.FINISHED:
            # What may still arrive on another host is looked after there.
            here += split_by_host(await journal.awaited(due=clock.now() if only_due else None))[0]
        with tracing_run(run.id, run.attempt):
            await undo_all(here, ledger=journal, steps=steps, clock=clock, delays=())
        for fault in elsewhere:
            await journal.mark_waiting_for_host(fault, hosts.explain_waiting(fault.host))
        if run.state == RunState.RUNNING:
            reason = f"its worker {run.worker} died or lost its lease"
            verdict = Verdict(Outcome.INTERRUPTED, reason, await journal.rollback())
            return await end_run(run, journal, verdict, plan.retry_interrupted if plan else 0)
    finally:
        renewing.cancel()
        await journal.close()
        await journal.write(leases.release, claim)
    return await journal.write(Run.objects.get, id=run.id)


async def _end_without_undo(run: Run, journal: DatabaseJournal, claim: Claim) -> Run | None:
    """A run that has not begun is queued again; one that was taken over too often is given up."""
    reason = f"its worker {run.worker} died or lost its lease"
    if (queued := await journal.write(unbegun.give_back, claim, reason)) is not None:
        return queued
    if (run.takeovers or 0) < MAX_TAKEOVERS:
        return None
    reason = f"it was taken over {MAX_TAKEOVERS} times and could not be ended: see the watchdog's log"
    return await journal.give_up(reason)


def split_by_host(faults: Iterable[Fault]) -> tuple[list[Fault], list[Fault]]:
    """The faults that a process of this host can undo, and those that it cannot."""
    names = ("", hosts.this_host())
    found = list(faults)
    here = [fault for fault in found if fault.host in names]
    elsewhere = [fault for fault in found if fault.host not in names]
    return here, elsewhere


def undo_now(run: Run) -> Run | None:
    """Undo what an ended or abandoned run left behind. None while its worker, or another, holds it."""
    if run.state == RunState.FINISHED:
        claim = leases.claim_finished_run(run.id, worker=this_process())
    else:
        ran_out = run.lease_until is not None and run.lease_until < timezone.now()
        claim = leases.take_over_run(run, worker=this_process()) if ran_out else None
    if claim is None:
        return None
    ended = asyncio.run(undo_left_behind(run, claim))
    if ended.state == RunState.FINISHED:
        enqueue_next_runs()
    return ended


def clean_up_after(worker: str) -> list[Run]:
    """Take over at once the runs of a worker that is known to be dead; return their rows afterwards."""
    leases.expire_leases(worker)
    taken = (undo_now(run) for run in Run.objects.running().filter(worker=worker))
    return [run for run in taken if run is not None]


async def _renew_while_held(journal: DatabaseJournal) -> None:
    with suppress(LeaseLost):
        await renew_until_lost(journal)
