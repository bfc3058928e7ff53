"""What can go wrong with a scenario, one sentence each."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in a document; lines and columns start at 1."""

    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        hint = f" ({self.hint})" if self.hint else ""
        return f"line {self.line}, column {self.column}: {self.message}{hint}"


class ScenarioError(Exception):
    """Anything this package raises on purpose."""


class InvalidDocument(ScenarioError):  # noqa: N818 - a state, as in Django's ImproperlyConfigured
    """The document breaks rules of the language; `problems` holds every one, in order of appearance."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InvalidVariables(ScenarioError):  # noqa: N818
    """Values given for a run do not fit the scenario's variables; `errors` maps a name to its sentence."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors.values()))


class CannotBegin(ScenarioError):  # noqa: N818
    """The run would have to wait, and was not to."""


class ScenarioDeleted(ScenarioError):  # noqa: N818
    """The stored scenario was deleted while its run was being started: there is no run."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Scenario {name!r} was removed this moment: nothing was started.")


class InvalidSchedule(ScenarioError):  # noqa: N818
    """What is given for a schedule makes no sense; `errors` maps a field to its sentence."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors.values()))


class NotWaiting(ScenarioError):  # noqa: N818
    """What was to be approved or refused waits for nobody any more."""


class OwnRequest(ScenarioError):  # noqa: N818
    """Whoever asked for something is no second person for it."""


class ServiceHeld(ScenarioError):  # noqa: N818
    """A service cannot be taken away from the run that has it for itself."""


class AddressProtected(ScenarioError):  # noqa: N818
    """A service may be registered at the address of a protected one only by whoever may protect services."""


class AddressUnknown(ScenarioError):  # noqa: N818
    """An address cannot be resolved, and so cannot be compared with those of protected services."""


class StepFailed(ScenarioError):  # noqa: N818
    """The target did not do what the step asked of it, or did not answer."""


class StepNotDone(StepFailed):
    """The target answered that it did not do it: nothing of the step can arrive later."""


class StepNotSent(StepNotDone):
    """The step failed before anything reached the target, so that nothing can have changed there."""


class StepImpossible(StepNotSent):
    """The step cannot be carried out at all: an unknown service, an argument that makes no sense."""


class LeaseLost(ScenarioError):  # noqa: N818
    """Another process has taken the run over: nothing more may be written or injected for it."""


class LedgerUnreachable(LeaseLost):
    """The ledger could not be written for as long as the lease: its faults are taken back without it."""
