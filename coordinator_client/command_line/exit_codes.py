"""Exit codes. docs/command-line.md documents them."""

from collections.abc import Mapping

from coordinator_client.command_line.coordinator import NotFound, NotPermitted
from coordinator_client.errors import (
    CoordinatorError,
    NotAuthenticatedError,
    NotFoundError,
    NotSupportedError,
    PermissionMissingError,
    UnavailableError,
    UnexpectedAnswerError,
    WaitTimeoutError,
)
from coordinator_client.records import Run

DONE = 0
WOULD_CHANGE = 1
WRONG = 1
"""A check of a service or host has found something wrong."""
REFUSED = 2
"""Wrong usage, an invalid document, or a request that the coordinator refuses."""
LEFT_INJECTED = 3
NOT_FOUND = 7
"""What the command names does not exist."""
NOT_PERMITTED = 8
"""The token or the user is missing, unknown, or may not do this."""
UNREACHABLE = 9
"""No coordinator responds there."""
NOT_IN_TIME = 124
"""The run has not ended within '--timeout', by the convention of timeout(1)."""
DETACHED = 130
"""Ctrl-C while following, by shell convention. The run continues."""
PIPE_CLOSED = 141
"""The reader of the output has gone, by shell convention."""

OUTCOME_CODES: Mapping[str, int] = {
    "passed": 0,
    "failed": 1,
    "errored": 3,
    "aborted": 4,
    "timed_out": 5,
    "interrupted": 6,
}
REFUSAL_CODES: Mapping[int, tuple[type[CoordinatorError], ...]] = {
    NOT_FOUND: (NotFound, NotFoundError),
    NOT_PERMITTED: (NotPermitted, NotAuthenticatedError, PermissionMissingError),
    UNREACHABLE: (UnavailableError, UnexpectedAnswerError),
    NOT_IN_TIME: (WaitTimeoutError,),
}


def find_refusal_code(error: CoordinatorError) -> int:
    """So that a script can tell what is missing from what is down."""
    if isinstance(error, NotSupportedError):  # the coordinator is older: nothing is missing there
        return REFUSED
    for code, kinds in REFUSAL_CODES.items():
        if isinstance(error, kinds):
            return code
    return REFUSED


def find_exit_code(run: Run) -> int:
    """0 only if the run has passed and left nothing injected; `unverified` counts as `clean`."""
    if not run.has_ended:
        return LEFT_INJECTED  # faults of an unfinished run may still be injected
    code = OUTCOME_CODES[run.status]
    return LEFT_INJECTED if code == DONE and run.rollback == "dirty" else code
