"""Exit codes. docs/command-line.md documents them."""

from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.published.records import RunRecord

DONE = 0
WOULD_CHANGE = 1
WRONG = 1
"""A check of a service or host has found something wrong."""
REFUSED = 2
"""Wrong usage, an invalid document, or a coordinator that does not respond."""
LEFT_INJECTED = 3
DETACHED = 130
"""Ctrl-C while following, by shell convention. The run continues."""

OUTCOME_CODES = {
    Outcome.PASSED: 0,
    Outcome.FAILED: 1,
    Outcome.ERRORED: 3,
    Outcome.ABORTED: 4,
    Outcome.TIMED_OUT: 5,
    Outcome.INTERRUPTED: 6,
}


def find_exit_code(run: RunRecord) -> int:
    """0 only if the run has passed and left nothing injected; `unverified` counts as `clean`."""
    if not run.has_ended:
        return LEFT_INJECTED  # faults of an unfinished run may still be injected
    code = OUTCOME_CODES[Outcome(run.status)]
    return LEFT_INJECTED if code == DONE and run.rollback == Rollback.DIRTY else code
