"""Where the engine writes what happens in a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.plan import FaultCall as FaultCall  # noqa: PLC0414 - a part of the contract of drivers


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a run. The journal gives it its sequence number."""

    kind: EventKind
    at: datetime
    phase: str = ""
    subject: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)


class Journal(Protocol):
    async def record(self, event: Event) -> None:
        """Keep the event; it is durable when this returns.

        Raises:
            LeaseLost: another process has taken the run over.
        """
