"""The faults of a run as its page shows them: what undoes each, and what a person can do now."""

from collections.abc import Sequence
from dataclasses import dataclass

import yaml

from scenarios.domain.outcomes import STATES_TO_UNDO, RunState
from scenarios.models import Fault
from scenarios.runs.history import RunHistory


@dataclass(frozen=True, slots=True)
class RunFault:
    """`is_active`: it is injected, and its run goes on. `undo` is the driver of the step that undoes it, and
    `arguments` those of the step.
    """

    fault: Fault
    is_active: bool
    undo: str
    arguments: str

    @property
    def is_outstanding(self) -> bool:
        return self.fault.is_outstanding


def describe_faults(history: RunHistory) -> Sequence[RunFault]:
    goes_on = history.run.state != RunState.FINISHED
    return [_describe(fault, goes_on=goes_on) for fault in history.faults]


def describe_left(history: RunHistory) -> str:
    """What is left of the ended run, as "1 still injected, 2 may still arrive"; "" if nothing is."""
    expired = sum(fault.has_expired for fault in history.faults)
    counts = {
        "still injected": len(history.still_injected) - expired,
        "not seen to be gone": expired,
        "may still arrive": len(history.unverified),
    }
    return ", ".join(f"{count} {words}" for words, count in counts.items() if count)


def _describe(fault: Fault, *, goes_on: bool) -> RunFault:
    arguments = yaml.safe_dump(
        fault.undo.get("arguments", {}), sort_keys=False, allow_unicode=True, width=100
    )
    is_active = goes_on and fault.state in STATES_TO_UNDO and fault.injected_at is not None
    return RunFault(fault, is_active, str(fault.undo.get("driver", "")), arguments)
