"""Fields, validators and choices that several tables share."""

from typing import Any

from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models

from scenarios.domain.outcomes import ApprovalState, DueOutcome, FaultState, Outcome, Rollback, RunState
from scenarios.domain.priorities import MAX_PRIORITY, MIN_PRIORITY
from scenarios.domain.suite_states import CellState, SuiteOutcome, SuiteRunState, TriedState
from scenarios.domain.units import Unit

DNS_LABEL = RegexValidator(
    r"\A[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\Z",
    "Use a-z, 0-9 and inner '-', at most 63 characters, as in 'exchange-latency'.",
)

Words = (RunState | Outcome | Rollback | FaultState | ApprovalState | DueOutcome | Unit) | (
    CellState | SuiteOutcome | SuiteRunState | TriedState
)


def build_choices(words: type[Words]) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in words]


class PriorityField(models.SmallIntegerField):  # type: ignore[type-arg]  # not generic at run time
    """Waiting runs with the highest priority start first."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("default", 0)
        options.setdefault("db_default", 0)  # for processes of an earlier version, which set no priority
        options.setdefault(
            "help_text", "From -100 to 100. Waiting runs with the highest priority start first."
        )
        rule = f"Enter a whole number from {MIN_PRIORITY} to {MAX_PRIORITY}."
        limits = [MinValueValidator(MIN_PRIORITY, rule), MaxValueValidator(MAX_PRIORITY, rule)]
        options["validators"] = [*options.get("validators", []), *limits]
        super().__init__(**options)

    def deconstruct(self) -> Any:
        """As a plain field, so that migrations need no class of this project."""
        name, _path, arguments, options = super().deconstruct()
        options.pop("validators", None)
        return name, "django.db.models.SmallIntegerField", arguments, options
