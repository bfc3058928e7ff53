"""Gauges read from the database at the scrape. Every instance shows the same: take `max`, not `sum`."""

from collections.abc import Iterable

from django.utils import timezone

from metrics_app.ports import GaugeSample
from scenarios.domain.outcomes import FaultState, RunState
from scenarios.models import Delivery, Fault, Heartbeat, Run


def read_gauges() -> Iterable[GaugeSample]:
    for state in (RunState.AWAITING_APPROVAL, RunState.QUEUED, RunState.RUNNING):
        runs = Run.objects.filter(state=state).count()
        yield GaugeSample("scenario_runs", {"state": state.value}, runs)
    oldest = Run.objects.queued().order_by("queued_at").values_list("queued_at", flat=True).first()
    waited = max(0.0, (timezone.now() - oldest).total_seconds()) if oldest else 0.0
    yield GaugeSample("scenario_oldest_queued_seconds", {}, waited)
    outstanding = Fault.objects.outstanding()
    yield GaugeSample("scenario_outstanding_faults", {}, outstanding.count())
    unverified = outstanding.filter(state=FaultState.UNVERIFIED).count()
    yield GaugeSample("scenario_unverified_faults", {}, unverified)
    written = (
        Delivery.objects.on_their_way().order_by("created_at").values_list("created_at", flat=True).first()
    )
    # Another host wrote it, perhaps by a clock that is ahead of this one.
    unread = max(0.0, (timezone.now() - written).total_seconds()) if written else 0.0
    yield GaugeSample("oldest_undelivered_message_seconds", {}, unread)
    watchdog = Heartbeat.objects.filter(name="watchdog").first()
    if watchdog is not None:
        seen = watchdog.seen_at.timestamp()
        yield GaugeSample("scenario_watchdog_last_seen_timestamp_seconds", {}, seen)
