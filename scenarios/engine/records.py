"""Writes what happens in a run to its journal."""

from typing import Any

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.plan import Phase
from scenarios.ports import Clock, Event, Journal


class Recorder:
    """Gives each event its moment, and leaves out details that say nothing."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock

    async def record(
        self, kind: EventKind, phase: Phase | None = None, subject: str = "", **detail: Any
    ) -> None:
        where = phase.name if phase is not None else ""
        kept = {name: value for name, value in detail.items() if value not in (None, "", {})}
        await self._journal.record(Event(kind, self._clock.now(), where, subject, kept))
