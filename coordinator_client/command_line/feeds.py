"""What the verb `events` asks of a coordinator."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from coordinator_client.records import FeedEvent


@dataclass(frozen=True, slots=True)
class FeedFilter:
    """Empty fields select every event; `outcome` selects ends of runs only."""

    scenario: str = ""
    kinds: Sequence[str] = ()
    outcome: str = ""


class Feeds(Protocol):
    """All methods may raise CoordinatorError."""

    def watch_events(self, which: FeedFilter, after: str) -> Iterator[FeedEvent | None]:
        """Yield the events of all runs as they happen, without an end; None in between.

        `after` is the position of an event; if empty, it begins with the events from now on.

        Raises:
            UnavailableError: the coordinator has not responded for a minute.
        """
        ...
