"""The events of all runs in one order, which stays the same for every reader."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from scenarios.database.settled import SettledIds, TableMarks
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome
from scenarios.models import Event

# Ids that one query looks through, so that a filter that selects nothing does not read a whole table at once.
MAX_WINDOW = 10_000
settled_ids = SettledIds(TableMarks(Event))


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to select; empty fields select all. `outcome` selects ends of runs only."""

    scenario: str = ""
    kinds: Sequence[str] = ()
    outcome: Outcome | None = None

    def select(self, rows: QuerySet[Event]) -> QuerySet[Event]:
        if self.scenario:
            rows = rows.filter(run__scenario_name=self.scenario)
        if self.kinds:
            rows = rows.filter(kind__in=self.kinds)
        if self.outcome is not None:
            rows = rows.filter(kind=EventKind.RUN_FINISHED, detail__outcome=self.outcome)
        return rows


def read_window(selected: EventFilter, after: int, settled: int, limit: int) -> tuple[list[Event], int]:
    """The next events with ids up to `settled`, at most `limit`, and the id up to which they are complete."""
    end = min(settled, after + MAX_WINDOW)
    rows = selected.select(Event.objects.filter(pk__gt=after, pk__lte=end)).select_related("run")
    found = list(rows.defer("run__document", "run__variables").order_by("pk")[:limit])
    return found, found[-1].pk if len(found) == limit else end
