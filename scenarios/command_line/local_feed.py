"""The events of all runs of this machine's coordinator."""

import time
from collections.abc import Iterator
from dataclasses import replace

from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.feeds import FeedFilter
from coordinator_client.parsing import parse
from coordinator_client.records import FeedEvent
from scenarios import models
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome
from scenarios.published.records import json_fields, record_event
from scenarios.runs.event_feed import EventFilter, read_window, settled_ids

POLL_SECONDS = 0.1
MAX_BATCH = 500


class LocalFeed:
    def watch_events(self, which: FeedFilter, after: str) -> Iterator[FeedEvent | None]:
        selected = _build_filter(which)
        seen = int(after) if after else settled_ids.find()[1]
        while True:
            settled, _ = settled_ids.find()
            if seen < settled:
                events, seen = read_window(selected, seen, settled, MAX_BATCH)
                yield from map(_describe, events)
            else:
                yield None
                time.sleep(POLL_SECONDS)


def _build_filter(which: FeedFilter) -> EventFilter:
    if unknown := [kind for kind in which.kinds if kind not in set(EventKind)]:
        raise CommandRefused(f"Invalid kind: unknown kind {unknown[0]!r}; docs/api.md lists all.")
    return EventFilter(which.scenario, which.kinds, Outcome(which.outcome) if which.outcome else None)


def _describe(event: models.Event) -> FeedEvent:
    fields = {"run": str(event.run_id), "scenario": event.run.scenario_name}
    found = parse(FeedEvent, {**fields, **json_fields(record_event(event))})
    return replace(found, position=str(event.pk))
