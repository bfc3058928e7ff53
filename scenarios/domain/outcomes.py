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
    """`dirty` as long as an undo still fails; `clean` also when there was nothing to undo.

    `unverified`: every undo has succeeded, but an injection that was never answered may still arrive.
    """

    CLEAN = "clean"
    UNVERIFIED = "unverified"
    DIRTY = "dirty"


class FaultState(StrEnum):
    """`outstanding`: its undo has failed, and is tried again.

    Of a fault whose injection was never answered, and may still arrive: `unverified` where its undo has
    succeeded, `watched` where it was seen to be gone. Both are undone again when its time is over.
    """

    INJECTING = "injecting"
    ACTIVE = "active"
    OUTSTANDING = "outstanding"
    UNVERIFIED = "unverified"
    WATCHED = "watched"
    UNDONE = "undone"
    NOT_INJECTED = "not_injected"
    ACKNOWLEDGED = "acknowledged"


STATES_TO_UNDO = (FaultState.INJECTING, FaultState.ACTIVE, FaultState.OUTSTANDING)
# Undone once, and undone again later.
STATES_AWAITED = (FaultState.UNVERIFIED, FaultState.WATCHED)
OPEN_STATES = STATES_TO_UNDO + STATES_AWAITED
# Of a run that has ended, nobody can say of these that the fault is gone.
OUTSTANDING_STATES = (*STATES_TO_UNDO, FaultState.UNVERIFIED)


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
