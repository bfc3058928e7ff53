"""What columns of several tables have in common."""

from django.core.validators import RegexValidator

from scenarios.domain.outcomes import ApprovalState, DueOutcome, FaultState, Outcome, Rollback, RunState
from scenarios.domain.units import Unit

DNS_LABEL = RegexValidator(
    r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z",
    "A DNS label: a-z, 0-9 and '-' inside, at most 63 characters, as in 'exchange-latency'.",
)

Words = RunState | Outcome | Rollback | FaultState | ApprovalState | DueOutcome | Unit


def choices_of(words: type[Words]) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in words]
