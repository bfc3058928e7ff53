"""The states and outcomes of runs, faults, approvals and due times."""

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
    """`dirty` while an undo still fails; `clean` also if there was nothing to undo.

    `unverified`: every undo has succeeded, but an injection without a response may still arrive.
    """

    CLEAN = "clean"
    UNVERIFIED = "unverified"
    DIRTY = "dirty"


class FaultState(StrEnum):
    """`outstanding`: the undo has failed and is tried again.

    If an injection got no response, it may still arrive. Then the fault is `unverified` after its undo has
    succeeded, or `watched` after a probe has shown that it is gone. Both are undone again later.
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
# Undone once; undone again later.
STATES_AWAITED = (FaultState.UNVERIFIED, FaultState.WATCHED)
OPEN_STATES = STATES_TO_UNDO + STATES_AWAITED
# After the end of a run, faults in these states may still be injected.
OUTSTANDING_STATES = (*STATES_TO_UNDO, FaultState.UNVERIFIED)


class ApprovalState(StrEnum):
    """`withdrawn`: the run or schedule changed or ended before anyone decided."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class DueOutcome(StrEnum):
    """What happened at a due time of a schedule."""

    STARTED = "started"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason` is a sentence for users."""

    outcome: Outcome
    reason: str
    rollback: Rollback = Rollback.CLEAN
