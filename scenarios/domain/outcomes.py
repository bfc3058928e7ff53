"""How a run can stand and end. Source of the words: the table "Outcomes" of the language reference."""

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"


class Outcome(StrEnum):
    PASSED = "passed"
    FAILED = "failed"
    ERRORED = "errored"
    ABORTED = "aborted"
    TIMED_OUT = "timed_out"
    INTERRUPTED = "interrupted"


class Rollback(StrEnum):
    """`dirty` as long as an undo still fails; `clean` also when there was nothing to undo."""

    CLEAN = "clean"
    DIRTY = "dirty"


class FaultState(StrEnum):
    INJECTING = "injecting"
    ACTIVE = "active"
    OUTSTANDING = "outstanding"
    UNDONE = "undone"
    NOT_INJECTED = "not_injected"
    ACKNOWLEDGED = "acknowledged"


STATES_TO_UNDO = (FaultState.INJECTING, FaultState.ACTIVE, FaultState.OUTSTANDING)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a sentence for a person."""

    outcome: Outcome
    reason: str
    rollback: Rollback = Rollback.CLEAN
