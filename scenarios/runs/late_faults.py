"""Closes faults whose injection may still arrive, in a thread of a worker.

The watchdog does this, too. But without one, such a fault would hold its service for ever, and the runs
that wait for it would never begin. Both begin with a conditional UPDATE that lets one of them through.
"""

import asyncio
import logging
import threading
import time
from datetime import datetime, timedelta

from django.db import connections
from django.utils import timezone

from scenarios.database.errors import is_away
from scenarios.domain import log_context, outages
from scenarios.drivers import hosts
from scenarios.models import Fault, FaultQuerySet, Run
from scenarios.runs import leases, recovery
from scenarios.runs.executor import enqueue_next_runs, this_process

logger = logging.getLogger(__name__)

# Another process may change a fault.
MAX_WAIT_SECONDS = 5.0
MIN_WAIT_SECONDS = 0.2
MAX_WAIT_AFTER_FAILURE_SECONDS = 60.0


class LateFaults:
    """One for each process. The thread is a daemon, because an undo may hang."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._requests = 0
        self._failures = 0

    def watch(self) -> None:
        """Make sure that the thread is running, if there is something to watch. Call it after each run."""
        if not list_late_faults().exists():
            return
        with self._lock:
            self._requests += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="late faults", daemon=True)
                self._thread.start()

    def join(self, seconds: float) -> bool:
        """Wait for the end of the thread; return whether it has ended."""
        if (thread := self._thread) is not None:
            thread.join(seconds)
        return self._thread is None

    def _work(self) -> None:
        while True:
            requests = self._requests
            wait = self._undo_due()
            connections.close_all()
            if wait is not None:
                time.sleep(wait)
                continue
            with self._lock:
                if requests == self._requests:  # else a fault may have come after the last look
                    self._thread = None
                    return

    def _undo_due(self) -> float | None:
        try:
            wait = undo_due(timezone.now())
        except Exception as error:  # also a site's own driver; the fault stays in the ledger
            if is_away(error):
                outages.database.note_failure(error)
            elif not self._failures:
                logger.exception("A fault that may still arrive could not be undone again")
            self._failures += 1
            return min(MAX_WAIT_AFTER_FAILURE_SECONDS, 2.0 ** min(self._failures, 10))
        self._failures = 0
        return wait


def list_late_faults() -> FaultQuerySet:
    """Faults of ended runs that may still arrive, and that a process of this host can undo."""
    return Fault.objects.left_behind().awaited().on_host(hosts.this_host())


def undo_due(now: datetime) -> float | None:
    """Undo again each late fault that is due; return the seconds until the next one is, None if none is left.

    An error in one run does not delay the others. The first one is raised after all had their turn.
    """
    errors: list[Exception] = []
    for run in Run.objects.filter(id__in=list_late_faults().due(now).values("run")):
        with log_context.binding(run_id=str(run.id)):
            try:
                _undo_again(run)
            except Exception as error:
                if is_away(error):
                    raise
                errors.append(error)
    if errors:
        raise errors[0]
    moments = list(list_late_faults().values_list("next_try_at", flat=True))
    if not moments:
        return None
    soonest = min(moment or now for moment in moments)
    wait = (soonest - timezone.now()) / timedelta(seconds=1)
    return min(MAX_WAIT_SECONDS, max(MIN_WAIT_SECONDS, wait))


def _undo_again(run: Run) -> None:
    claim = leases.claim_finished_run(run.id, worker=this_process())
    if claim is None:
        return  # a watchdog or another worker is undoing it
    ended = asyncio.run(recovery.undo_left_behind(run, claim, only_due=True))
    logger.info("Run %s: %s", run.scenario_name, ended.verdict)
    enqueue_next_runs()


late_faults = LateFaults()
