"""The errors of scenarios and their runs."""

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
    """Base class of the errors below."""


class InvalidDocument(ScenarioError):  # noqa: N818 - a state, as in Django's ImproperlyConfigured
    """The document breaks rules of the language; `problems` lists all of them in document order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InvalidVariables(ScenarioError):  # noqa: N818
    """Values do not fit the scenario's variables; `errors` maps the name of a variable to a sentence."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors.values()))


class UnknownEnvironment(InvalidVariables):
    """There is no environment with the name."""

    def __init__(self, sentence: str) -> None:
        super().__init__({"environment": sentence})


class CannotBegin(ScenarioError):  # noqa: N818
    """The run would have to wait, but the caller does not want it to."""


class ScenarioDeleted(ScenarioError):  # noqa: N818
    """The stored scenario was deleted while its run was being started; no run exists."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Scenario {name!r} was deleted; no run was started.")


class BeingDeleted(ScenarioDeleted):
    """The stored scenario is being deleted: nobody can run, schedule or change it."""

    def __init__(self, name: str) -> None:
        ScenarioError.__init__(
            self, f"Scenario {name!r} is being deleted; wait until that is done, or use another name."
        )


class InvalidSchedule(ScenarioError):  # noqa: N818
    """The data of a schedule is not valid; `errors` maps a field to a sentence."""

    def __init__(self, errors: dict[str, str]) -> None:
        self.errors = errors
        super().__init__("\n".join(errors.values()))


class NotWaiting(ScenarioError):  # noqa: N818
    """The run or schedule no longer waits for an approval."""


class OwnRequest(ScenarioError):  # noqa: N818
    """The person who asked for an approval cannot give it."""


class ServiceHeld(ScenarioError):  # noqa: N818
    """A service or host cannot be changed or deleted while a run holds it."""


class AlreadyRegistered(ScenarioError):  # noqa: N818
    """A service or host with this name is registered, and the caller wants to change none."""


class AddressProtected(ScenarioError):  # noqa: N818
    """Registering a service or host at the address of a protected one requires the permission to protect."""


class AddressUnknown(ScenarioError):  # noqa: N818
    """An address cannot be resolved and therefore not be compared with those of protected services."""


class StepFailed(ScenarioError):  # noqa: N818
    """The target did not carry out the step, or did not respond.

    `retry_after`: the number of seconds that the target asks to be left alone.
    """

    def __init__(self, sentence: str = "", *, retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class StepNotDone(StepFailed):
    """The target responded that it did not carry out the step; nothing can arrive later."""


class StepNotSent(StepNotDone):
    """The step failed before anything reached the target, so nothing can have changed there."""


class StepImpossible(StepNotSent):
    """The step cannot be carried out at all, for example because of an unknown service."""


class FaultGone(StepNotDone):
    """The target does not have the fault any more: it ended, somebody removed it, or the target restarted."""


class LeaseLost(ScenarioError):  # noqa: N818
    """Another process has taken over the run; this one may no longer write or inject anything for it."""


class LedgerUnreachable(LeaseLost):
    """The ledger could not be written for as long as the lease lasts; the faults are undone without it."""
