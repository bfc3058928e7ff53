"""Watches over runs: takes over those whose worker died, retries outstanding faults, reads charts.

Any number of watchdogs may run: everything they do begins with a conditional UPDATE that lets one through.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from scenarios.access import audit, invitations
from scenarios.access.idempotency import prune_answers
from scenarios.charts.reader import ChartReader
from scenarios.database.connections import DatabaseThread
from scenarios.database.errors import is_away
from scenarios.domain import log_context, outages
from scenarios.domain.outcomes import STATES_TO_UNDO
from scenarios.domain.progress import note_progress
from scenarios.drivers import hosts
from scenarios.models import Fault, Run
from scenarios.notifications import deliveries
from scenarios.notifications.dispatcher import Dispatcher
from scenarios.planning import approvals
from scenarios.planning import due as planning_due
from scenarios.runs import deletion_requests, executor, leases, recovery
from scenarios.runs.component_heartbeats import note_trouble, record_heartbeat
from scenarios.runs.leases import Claim
from scenarios.suites import running as suites_running
from scenarios.supervision import retention
from scenarios.supervision.cluster_sweeps import SWEEP_EVERY_SECONDS, ClusterSweeper
from scenarios.supervision.duties import Carrier, Duty
from scenarios.supervision.lease_watch import LeaseWatch
from scenarios.supervision.queue_duty import QueueDuty

logger = logging.getLogger(__name__)

ROUND_SECONDS = 1.0
# A duty that hangs is left behind when the watchdog ends.
LAST_ROUND_SECONDS = 10.0
PRUNE_EVERY_SECONDS = 600.0
PRUNED_AT_ONCE = 100
RUNS_PRUNED_AT_ONCE = 20
PRUNE_REST_SECONDS = 0.05
# An outstanding fault is due at least once a minute: by then its own host's watchdog would have tried it.
HOST_SILENT_AFTER = timedelta(seconds=30)


class Watchdog:
    """Each duty runs by itself, and so does each undo: a target that hangs delays nothing else."""

    def __init__(self) -> None:
        self._busy: dict[UUID, asyncio.Task[None]] = {}
        self._stop = asyncio.Event()
        self._leases = LeaseWatch(settings.LEASE_SECONDS)
        self._renewals = DatabaseThread(
            "lease"
        )  # one for all: there may be hundreds of runs to clean up after
        self._charts = ChartReader()
        self._dispatcher = Dispatcher()
        self._undoing = DatabaseThread("undo")
        notify = Duty("notify the queue", ROUND_SECONDS, in_database(QueueDuty().notify))
        self._queue = Carrier(notify)
        self._carriers = [self._queue, *(Carrier(duty) for duty in self._duties())]

    def _duties(self) -> list[Duty]:
        return [
            # Never later than this, because faults wait for it, and `ready` looks at its heartbeat.
            Duty("take over", ROUND_SECONDS, self._take_over, max_delay=ROUND_SECONDS),
            Duty("start schedules", ROUND_SECONDS, in_database(_start_schedules), max_delay=ROUND_SECONDS),
            Duty("carry on suites", ROUND_SECONDS, in_database(suites_running.advance_all)),
            Duty("end expired approvals", 5.0, in_database(_expire_approvals)),
            Duty("ask for approvals", 20.0, in_database(planning_due.request_approvals)),
            Duty("send messages", ROUND_SECONDS, self._send_messages),
            Duty("read charts", ROUND_SECONDS, self._read_charts),
            Duty("sweep clusters", SWEEP_EVERY_SECONDS, ClusterSweeper().sweep_all),
            Duty("delete what is old", PRUNE_EVERY_SECONDS, self._prune),
            Duty("delete what is requested", ROUND_SECONDS, self._carry_on_deletions),
        ]

    def stop(self) -> None:
        """End after the undos that are under way."""
        self._stop.set()
        for carrier in self._carriers:
            carrier.wake()

    async def watch(self) -> None:
        going_on = [asyncio.create_task(carrier.go_on(self._stop)) for carrier in self._carriers]
        await self._stop.wait()
        _done, hanging = await asyncio.wait(going_on, timeout=LAST_ROUND_SECONDS)
        for task in hanging:
            task.cancel()
        await self.settle()

    async def settle(self) -> None:
        """Wait for the undos and the messages that are under way."""
        await self._charts.stop()
        if self._busy:
            await asyncio.wait(self._busy.values())
        await self._renewals.close()
        await self._dispatcher.settle()
        await asyncio.gather(self._undoing.close(), *(carrier.close() for carrier in self._carriers))

    async def look(self) -> None:
        """One round of each duty, one after the other. Undos are begun here and go on by themselves."""
        for carrier in self._carriers:
            await carrier.round()

    async def _take_over(self, database: DatabaseThread) -> None:
        abandoned = self._leases.ran_out(await database.call(list_held_runs), time.monotonic())
        for run in (*abandoned, *await database.call(list_runs_with_due_faults)):
            self._begin(run, partial(leases.take_over_run, run, worker=executor.this_process()))
        await database.call(_beat, [trouble for carrier in self._carriers if (trouble := carrier.trouble())])

    def _begin(self, run: Run, claim: Callable[[], Claim | None]) -> None:
        if run.id not in self._busy:
            with log_context.binding(run_id=str(run.id)):  # the task keeps it
                task = asyncio.create_task(self._undo_left_behind(run, claim))
            self._busy[run.id] = task
            task.add_done_callback(lambda _task: self._busy.pop(run.id, None))

    async def _undo_left_behind(self, run: Run, claim: Callable[[], Claim | None]) -> None:
        try:
            if (claimed := await self._undoing.call(claim)) is None:
                return
            logger.warning("Undoing what run %s of %s left behind", run.scenario_name, run.worker or "nobody")
            ended = await recovery.undo_left_behind(run, claimed, self._renewals, only_due=True)
            logger.warning("Run %s: %s", run.scenario_name, ended.verdict)
        except Exception as error:  # also of a site's own driver; the fault stays in the ledger
            if is_away(error):
                outages.database.note_failure(error)
            else:
                logger.exception("Run %s could not be cleaned up: trying again", run.id)
        self._queue.wake()  # runs that waited for its services may begin

    async def _prune(self, database: DatabaseThread) -> None:
        """In batches with rests between them, so that nobody waits long to write."""
        now = timezone.now()
        before = now - timedelta(days=settings.RETENTION_DAYS)
        audited = now - timedelta(days=settings.AUDIT_DAYS)
        batches = [
            partial(prune_answers, now, at_most=PRUNED_AT_ONCE),
            partial(retention.prune, before, at_most=RUNS_PRUNED_AT_ONCE),
            partial(retention.prune_suite_runs, before, at_most=RUNS_PRUNED_AT_ONCE),
            partial(deliveries.prune_deliveries, before, at_most=PRUNED_AT_ONCE),
            partial(invitations.prune, before, at_most=PRUNED_AT_ONCE),
            partial(audit.prune, audited, at_most=PRUNED_AT_ONCE),
            partial(retention.prune_admin_log, audited, at_most=PRUNED_AT_ONCE),
            partial(retention.prune_versions, audited, at_most=PRUNED_AT_ONCE),
            partial(retention.prune_tasks, before, at_most=PRUNED_AT_ONCE),
            partial(retention.prune_sessions, now, at_most=PRUNED_AT_ONCE),
        ]
        for prune in batches:
            while not self._stop.is_set() and await database.call(prune) > 0:
                await self._rest(PRUNE_REST_SECONDS)
        await database.call(retention.prune_plans, before)

    async def _carry_on_deletions(self, database: DatabaseThread) -> None:
        for key in await database.call(deletion_requests.list_requests):
            batch = partial(deletion_requests.carry_on, key, deletion_requests.Pace())
            while not self._stop.is_set() and (rest := await database.call(batch)):
                note_progress()
                await self._rest(rest)

    async def _rest(self, seconds: float) -> None:
        """Let others write; ends with the watchdog."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stop.wait()

    async def _send_messages(self, _database: DatabaseThread) -> None:
        await self._dispatcher.look()

    async def _read_charts(self, _database: DatabaseThread) -> None:
        self._charts.go_on()


def in_database(function: Callable[[], object]) -> Callable[[DatabaseThread], Awaitable[object]]:
    async def call(database: DatabaseThread) -> object:
        return await database.call(function)

    return call


def list_held_runs() -> list[Run]:
    return list(Run.objects.held())


def list_runs_with_due_faults() -> list[Run]:
    """Runs that no process holds; the lease of the others shows when their holder is gone.

    A fault of another host is left to the watchdog there; if that one is silent, the ledger says so.
    """
    now, here = timezone.now(), ("", hosts.this_host())
    due = Fault.objects.due(now)
    overdue = due.filter(state__in=STATES_TO_UNDO, next_try_at__lt=now - HOST_SILENT_AFTER)
    silent = overdue.exclude(host__in=here).exclude(reason__startswith=hosts.WAITING)
    # As values, not as subqueries: PostgreSQL would look whether each of all the runs is among them.
    found = {
        run for faults in (due.filter(host__in=here), silent) for run in faults.values_list("run", flat=True)
    }
    return list(Run.objects.filter(pk__in=found, lease_until__isnull=True))


def _beat(troubles: list[str]) -> None:
    """Record that faults are taken care of, and which duties are in trouble."""
    record_heartbeat("watchdog", executor.this_process())
    if troubles:
        note_trouble("watchdog", "; ".join(troubles))


def _start_schedules() -> None:
    now = timezone.now()
    planning_due.start_due(now)
    planning_due.end_late(now)


def _expire_approvals() -> None:
    approvals.expire(timezone.now())
