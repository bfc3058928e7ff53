"""Watches over runs: takes over those whose worker died, tries outstanding faults again, reads charts.

Any number of watchdogs may run: whatever one does begins with a conditional UPDATE that lets one through.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Q
from django.utils import timezone
from django_tasks_db.models import DBTaskResult

from scenarios import (
    approvals,
    deliveries,
    execution,
    hosts,
    leases,
    log_context,
    retention,
    schedules,
    services,
    tasks,
)
from scenarios.charts.reader import ChartReader
from scenarios.dispatch import Dispatcher
from scenarios.kept_answers import prune_answers
from scenarios.lease_watch import LeaseWatch
from scenarios.leases import Claim
from scenarios.models import Fault, Heartbeat, Run

logger = logging.getLogger(__name__)

T = TypeVar("T")
ROUND_SECONDS = 1.0
# A queue that lost a message is told again; one that is only busy is not flooded.
KNOCK_AGAIN_AFTER = timedelta(seconds=30)
PRUNE_EVERY_SECONDS = 600.0
PRUNED_AT_ONCE = 100
ASK_EVERY_SECONDS = 20.0
# An outstanding fault is due at least once a minute: by then its own host's watchdog would have tried it.
HOST_SILENT_AFTER = timedelta(seconds=30)
BEAT_EVERY = timedelta(seconds=5)
BEAT_LOST_AFTER = timedelta(seconds=30)


class Watchdog:
    """One look per second. Undoing goes on beside it, so that one hanging target keeps no other waiting."""

    def __init__(self) -> None:
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._leases = LeaseWatch(settings.LEASE_SECONDS)
        self._charts = ChartReader()
        self._dispatcher = Dispatcher()
        self._pruned_at = -PRUNE_EVERY_SECONDS  # the first look prunes, also soon after the machine's start
        self._asked_at = -ASK_EVERY_SECONDS
        self._beat_asked_at = timezone.now() - BEAT_LOST_AFTER

    def stop(self) -> None:
        """End after the undos that are under way."""
        self._stop.set()

    async def watch(self) -> None:
        while not self._stop.is_set():
            try:
                await self.look()
            except Exception:
                # Whatever it is: a watchdog that died, however soon it is started again, has to see every
                # lease for as long as one lasts before it may take a run over.
                logger.exception("The look broke off: looking again in %s s", ROUND_SECONDS)
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._stop.wait()
            except TimeoutError:
                continue
        await self.settle()

    async def settle(self) -> None:
        """Wait for the undos and the messages that are under way."""
        await self._charts.stop()
        if self._busy:
            await asyncio.wait(self._busy.values())
        await self._dispatcher.settle()

    async def look(self) -> None:
        """One round. Undos are begun here and go on by themselves."""
        abandoned = self._leases.ran_out(await in_database(held_runs), time.monotonic())
        for run in (*abandoned, *await in_database(runs_with_due_faults)):
            self._begin(run, partial(leases.take_over_run, run, worker=execution.this_process()))
        for duty in (knock_again, services.knock_waiting, self._carry_out_plans, self._prune, self._beat):
            await self._see_to(duty)
        await self._dispatcher.look()
        self._charts.go_on()

    async def _see_to(self, duty: Callable[[], object]) -> None:
        """One that breaks keeps none of the others waiting; a database that is away keeps all."""
        try:
            await in_database(duty)
        except DatabaseError:
            raise
        except Exception:
            logger.exception("What the watchdog does each second broke: the rest goes on")

    def _begin(self, run: Run, claim: Callable[[], Claim | None]) -> None:
        if run.id not in self._busy:
            with log_context.binding(run_id=str(run.id)):  # the task keeps it
                task = asyncio.create_task(self._take_back(run, claim))
            self._busy[run.id] = task
            task.add_done_callback(lambda _task: self._busy.pop(run.id, None))

    async def _take_back(self, run: Run, claim: Callable[[], Claim | None]) -> None:
        try:
            if (claimed := await in_database(claim)) is None:
                return
            logger.warning(
                "Taking back what run %s of %s left behind", run.scenario_name, run.worker or "nobody"
            )
            ended = await execution.take_back_left_behind(run, claimed)
            logger.warning("Run %s: %s", run.scenario_name, ended.verdict)
        except Exception:  # also a driver's, of the site's own: the fault stays in the ledger
            logger.exception("Run %s could not be cleaned up: trying again", run.id)

    def _carry_out_plans(self) -> None:
        """Schedules that are due, and what has waited too long to begin."""
        now = timezone.now()
        schedules.start_due(now)
        schedules.end_late(now)
        approvals.expire(now)
        if time.monotonic() - self._asked_at >= ASK_EVERY_SECONDS:
            self._asked_at = time.monotonic()
            schedules.ask_for_approvals()

    def _prune(self) -> None:
        """Batch by batch while there is something old, then again after a while."""
        if time.monotonic() - self._pruned_at < PRUNE_EVERY_SECONDS:
            return
        before = timezone.now() - timedelta(days=settings.RETENTION_DAYS)
        pruned = [
            prune_answers(timezone.now(), at_most=PRUNED_AT_ONCE),
            retention.prune(before, at_most=PRUNED_AT_ONCE),
            deliveries.prune_deliveries(before, at_most=PRUNED_AT_ONCE),
        ]
        if max(pruned) < PRUNED_AT_ONCE:
            retention.prune_plans(before)
            self._pruned_at = time.monotonic()

    def _beat(self) -> None:
        now = timezone.now()
        tasks.beat_of("watchdog", execution.this_process())
        worker = Heartbeat.objects.filter(name="worker").first()
        answered = worker is not None and worker.seen_at >= self._beat_asked_at
        if now - self._beat_asked_at >= (BEAT_EVERY if answered else BEAT_LOST_AFTER):
            self._beat_asked_at = now
            if settings.TASK_BACKEND == "db":
                # RQ forgets results by itself.
                DBTaskResult.objects.finished().filter(task_path=tasks.beat.module_path).delete()
            try:
                tasks.ask_for_beat()
            except Exception:  # whichever the queue's own are
                logger.warning("The queue does not answer: no beat was asked for", exc_info=True)


def held_runs() -> list[Run]:
    return list(Run.objects.held())


def runs_with_due_faults() -> list[Run]:
    """Those that nobody is at; of the others, the lease tells when nobody is any more.

    A fault of another host is left to the watchdog there; where that one is silent, the ledger is told.
    """
    now = timezone.now()
    due = Fault.objects.due(now)
    mine = due.on_host(hosts.this_host())
    overdue = due.filter(next_try_at__lt=now - HOST_SILENT_AFTER)
    silent = overdue.exclude(reason__startswith=hosts.WAITING).exclude(id__in=mine.values("id"))
    runs = (mine.values("run"), silent.values("run"))
    return list(Run.objects.filter(Q(id__in=runs[0]) | Q(id__in=runs[1]), lease_until__isnull=True))


def knock_again() -> None:
    """Tell the queue again of runs it seems to have lost."""
    # Ahead of this clock: told before the clock was set back.
    lately = (timezone.now() - KNOCK_AGAIN_AFTER, timezone.now() + KNOCK_AGAIN_AFTER)
    for run in Run.objects.queued().exclude(enqueued_at__range=lately):
        services.knock(run)


async def in_database(function: Callable[[], T]) -> T:
    """The function's result, from the database's thread, on a connection that works."""

    def call() -> T:
        connection.close_if_unusable_or_obsolete()
        return function()

    return await sync_to_async(call)()
