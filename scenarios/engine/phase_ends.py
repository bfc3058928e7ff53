"""When a phase ends, and what follows if something fails in it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import Phase

# Ends the run with this outcome and reason; the first call decides.
EndRun = Callable[[Outcome, str], None]


@dataclass(slots=True)
class PhaseEnd:
    """A phase ends when its hold is over, and what is `awaited`: timed actions and validations that end."""

    hold_ends: float
    awaited: list[asyncio.Task[None]]
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def find_moment(self) -> float | None:
        """The monotonic moment of the end; None as long as it depends on others."""
        return self.hold_ends if all(task.done() for task in self.awaited) else None


class Recovery:
    """After a failure with `on_failure: recover`, phases with actions are skipped.

    The phase that failed is cut short, so that everything is undone at once. It goes on only if everything is
    undone already, because its other validations then belong to the recovery, too.
    """

    def __init__(self) -> None:
        self.failure = ""
        self.task: asyncio.Task[Any] | None = None
        self._has_acted = False
        self._may_be_injected = False
        self._keeps_faults = False
        self._is_cut = False

    def begin(self, phase: Phase) -> None:
        self._is_cut = False
        self._has_acted |= bool(phase.actions)
        self._keeps_faults |= any(action.until == "run" for action in phase.actions)
        self._may_be_injected = bool(phase.actions) or self._keeps_faults

    def start(self, reason: str) -> None:
        self.failure = self.failure or reason
        if (self._may_be_injected or not self._has_acted) and not self._is_cut and self.task is not None:
            self._is_cut = True
            self.task.cancel()

    def accept_cut(self) -> bool:
        """Whether a cancellation of the task was only to cut the phase short."""
        return self._is_cut and self.task is not None and self.task.uncancel() == 0

    def note_rollback(self) -> None:
        self._keeps_faults = False
