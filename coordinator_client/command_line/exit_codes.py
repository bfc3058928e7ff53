"""Exit codes. docs/command-line.md documents them."""

from collections.abc import Mapping

from coordinator_client.records import Run

DONE = 0
WOULD_CHANGE = 1
WRONG = 1
"""A check of a service or host has found something wrong."""
REFUSED = 2
"""Wrong usage, an invalid document, or a coordinator that does not respond."""
LEFT_INJECTED = 3
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


def find_exit_code(run: Run) -> int:
    """0 only if the run has passed and left nothing injected; `unverified` counts as `clean`."""
    if not run.has_ended:
        return LEFT_INJECTED  # faults of an unfinished run may still be injected
    code = OUTCOME_CODES[run.status]
    return LEFT_INJECTED if code == DONE and run.rollback == "dirty" else code
