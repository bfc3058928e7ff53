"""Gauges read from the database at the scrape. Every instance shows the same: take `max`, not `sum`."""

from collections.abc import Iterable

from django.utils import timezone

from metrics_app.ports import GaugeSample
from scenarios.domain.outcomes import FaultState, RunState
from scenarios.models import Delivery, Fault, Heartbeat, Run
from scenarios.published.metrics import (
    OLDEST_QUEUED,
    OLDEST_UNDELIVERED,
    OUTSTANDING_FAULTS,
    SUITE_CELLS,
    UNVERIFIED_FAULTS,
    WAITING_RUNS,
    WATCHDOG_LAST_SEEN,
)
from scenarios.suites.matrix import count_all_cells


def read_gauges() -> Iterable[GaugeSample]:
    for state in (RunState.AWAITING_APPROVAL, RunState.QUEUED, RunState.RUNNING):
        runs = Run.objects.filter(state=state).count()
        yield WAITING_RUNS.sample(runs, state=state.value)
    oldest = Run.objects.queued().order_by("queued_at").values_list("queued_at", flat=True).first()
    waited = max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0
    yield OLDEST_QUEUED.sample(waited)
    outstanding = Fault.objects.outstanding()
    yield OUTSTANDING_FAULTS.sample(outstanding.count())
    unverified = outstanding.filter(state=FaultState.UNVERIFIED).count()
    yield UNVERIFIED_FAULTS.sample(unverified)
    written = (
        Delivery.objects.on_their_way().order_by("created_at").values_list("created_at", flat=True).first()
    )
    # Another host wrote it, perhaps by a clock that is ahead of this one.
    unread = max(0.0, (timezone.now() - written).total_seconds()) if written else 0.0
    yield OLDEST_UNDELIVERED.sample(unread)
    for (suite, shown), cells in count_all_cells(timezone.now()).items():
        yield SUITE_CELLS.sample(cells, suite=suite, state=shown)
    watchdog = Heartbeat.objects.filter(name="watchdog").first()
    if watchdog is not None:
        seen = watchdog.seen_at.timestamp()
        yield WATCHDOG_LAST_SEEN.sample(seen)
