"""How a run can stand and end. Source of the words: the table "Outcomes" of the language reference."""

from dataclasses import dataclass
from enum import StrEnum


class RunState(StrEnum):
    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    RUNNING = "running"
    FINISHED = "finished"


UNBEGUN = frozenset({RunState.AWAITING_APPROVAL, RunState.QUEUED})
UNFINISHED = UNBEGUN | {RunState.RUNNING}


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


class ApprovalState(StrEnum):
    """`withdrawn`: what was asked for has changed or ended before anyone decided."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class DueOutcome(StrEnum):
    """What came of a time at which a schedule was due."""

    STARTED = "started"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a sentence for a person."""

    outcome: Outcome
    reason: str
    rollback: Rollback = Rollback.CLEAN
