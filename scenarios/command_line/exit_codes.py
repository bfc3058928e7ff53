"""How a command ends, for CI: documented in docs/command-line.md."""

from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.records import RunRecord

DONE = 0
WOULD_CHANGE = 1
REFUSED = 2
"""A usage that makes no sense, an invalid document, or a coordinator that cannot be asked."""
LEFT_INJECTED = 3
DETACHED = 130
"""Ctrl-C while following, as shells say it: the run goes on."""

OUTCOME_CODES = {
    Outcome.PASSED: 0,
    Outcome.FAILED: 1,
    Outcome.ERRORED: 3,
    Outcome.ABORTED: 4,
    Outcome.TIMED_OUT: 5,
    Outcome.INTERRUPTED: 6,
}


def find_exit_code(run: RunRecord) -> int:
    """0 only where the run has passed and nothing is left injected; `unverified` counts as `clean`."""
    if not run.has_ended:
        return LEFT_INJECTED  # nothing can be promised of a run that has not ended
    code = OUTCOME_CODES[Outcome(run.status)]
    return LEFT_INJECTED if code == DONE and run.rollback == Rollback.DIRTY else code
