"""The port that the verbs use: this machine's coordinator (in `scenarios`) or another one (remote.py)."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, Self

from coordinator_client.command_line.allow_lists import AllowLists
from coordinator_client.command_line.decisions import Decisions
from coordinator_client.command_line.editing import Editing
from coordinator_client.command_line.environments import Environments
from coordinator_client.command_line.feeds import Feeds
from coordinator_client.command_line.registrations import Registrations
from coordinator_client.command_line.suites import Suites
from coordinator_client.command_line.wording import quote_command
from coordinator_client.errors import CoordinatorError, InvalidDocumentError, Problem
from coordinator_client.records import (
    Change,
    Deletion,
    Event,
    Fault,
    LeftOut,
    PlannedRun,
    Run,
    RunComparison,
    Scenario,
    Version,
)

if TYPE_CHECKING:
    from coordinator_client.exchanges import Response

MAX_NAMES_LISTED = 10
BEING_DELETED = "being_deleted"
"""The code of the API."""
LATEST = "latest"
"""Instead of the id of a run: the newest one."""


def _find_close(name: str, stored: Sequence[str]) -> str:
    """The stored name that is spelt most like this one; "" if none is."""
    from difflib import get_close_matches  # noqa: PLC0415 - slow, and for mistakes only

    return next(iter(get_close_matches(name, stored, n=1)), "")


class CommandRefused(CoordinatorError):  # noqa: N818 - a state
    """The command cannot be carried out; the message is shown to the user."""

    code = "refused"


class NotFound(CommandRefused):
    """What the command names does not exist."""

    code = "not_found"


class NotPermitted(CommandRefused):
    """The user may not do this, or somebody else must."""

    code = "permission_missing"


class BeingDeleted(CommandRefused):
    """The scenario is being deleted: it cannot be run or changed."""

    code = BEING_DELETED

    @classmethod
    def of_scenario(cls, name: str) -> Self:
        return cls(f"Scenario {name!r} is being deleted.")


class ChangedMeanwhile(CommandRefused):
    """Somebody has changed what the command would replace."""

    def __init__(self, name: str) -> None:
        super().__init__(f"Somebody has changed or deleted scenario {name!r} meanwhile.")


class NoRunNamed(CommandRefused):
    """The id of a run is empty, for example because a variable of a script is."""

    def __init__(self) -> None:
        super().__init__(f"Give the id of a run, or the beginning of it; {quote_command('runs')} lists all.")


class ScenarioNotFound(NotFound):
    """No scenario with this name is stored."""

    def __init__(self, name: str, stored: Sequence[str]) -> None:
        if close := _find_close(name, stored):
            hint = f"did you mean {close!r}?"
        elif stored:
            more = f" and {len(stored) - MAX_NAMES_LISTED} more" if len(stored) > MAX_NAMES_LISTED else ""
            hint = f"choose one of {', '.join(stored[:MAX_NAMES_LISTED])}{more}."
        else:
            hint = f"store scenarios with {quote_command('import')}."
        super().__init__(f"There is no scenario {name!r}; {hint}")


class SuiteNotFound(NotFound):
    """There is no suite with this name."""

    def __init__(self, name: str, stored: Sequence[str]) -> None:
        close = _find_close(name, stored)
        hint = f"did you mean {close!r}?" if close else f"{quote_command('suite list')} lists all."
        super().__init__(f"There is no suite {name!r}; {hint}")


class EnvironmentNotFound(NotFound):
    """There is no environment with this name."""

    def __init__(self, name: str, stored: Sequence[str]) -> None:
        close = _find_close(name, stored)
        hint = f"did you mean {close!r}?" if close else f"{quote_command('environment list')} lists all."
        super().__init__(f"There is no environment {name!r}; {hint}")


class RunNotFound(NotFound):
    """No run has an id with this beginning."""

    def __init__(self, beginning: str) -> None:
        listing = f"{quote_command('runs')} lists all."
        super().__init__(f"There is no run whose id begins with {beginning!r}; {listing}")


class RunAmbiguous(CommandRefused):
    """More than one run has an id with this beginning."""

    def __init__(self, beginning: str) -> None:
        super().__init__(f"Several runs have an id that begins with {beginning!r}; give more characters.")


class NothingToUndo(CommandRefused):
    """The run is held by a process that will undo its faults."""


class TranslationRefused(InvalidDocumentError):  # noqa: N818 - as above
    """The scenario made from a Chaos Toolkit experiment is invalid: the paths of `problems` are useful."""

    def __init__(self, problems: Sequence[Problem], left_out: Sequence[LeftOut]) -> None:
        super().__init__(problems)
        self.left_out = tuple(left_out)


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A valid document. `left_out` lists what of a Chaos Toolkit experiment has no equivalent."""

    name: str
    source: str
    left_out: tuple[LeftOut, ...] = ()
    is_translated: bool = False
    subject: str = "scenario"


@dataclass(frozen=True, slots=True)
class Start:
    """How a run is to be started. Without `wait`, it is refused if it would have to wait.

    With an `idempotency_key` that was used for the same request, the run of that time is returned.
    """

    wait: bool = True
    priority: int = 0
    environment: str = ""
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Empty fields match every run; `status` is a state or an outcome, `by` the name of a user."""

    scenario: str = ""
    environment: str = ""
    status: str = ""
    rollback: str = ""
    since: datetime | None = None
    until: datetime | None = None
    by: str = ""
    limit: int = 20


@dataclass(frozen=True, slots=True)
class FaultFilter:
    """Empty fields match every fault; `run` is a whole id."""

    outstanding: bool = False
    run: str = ""
    service: str = ""
    limit: int = 50


class Coordinator(Registrations, Environments, AllowLists, Decisions, Editing, Feeds, Suites, Protocol):
    """All methods may raise CoordinatorError; InvalidDocumentError and InvalidVariablesError say where."""

    def close(self) -> None: ...

    def request(
        self, method: str, path: str, *, content: bytes = b"", headers: Mapping[str, str]
    ) -> "Response":
        """Send any request of the API.

        Raises:
            CommandRefused: this is the machine itself, which is not asked over the API.
            RefusedError: the API refused the request.
        """

    def read_version(self) -> str:
        """The version of the coordinator."""
        ...

    def list_scenarios(self, tag: str = "", text: str = "", limit: int | None = None) -> Sequence[Scenario]:
        """By name: those that have the tag, and the text in the name, the title or the description."""
        ...

    def find_scenario(self, name: str) -> Scenario: ...

    def delete_scenario(self, name: str) -> Deletion | None:
        """Refused while a run is unfinished or has left a fault. None: it is deleted."""
        ...

    def keep_scenario(self, name: str) -> Deletion:
        """Withdraw its deletion. Refused if it is not being deleted."""
        ...

    def list_versions(self, name: str, limit: int) -> Sequence[Version]:
        """The newest first, without documents."""
        ...

    def find_version(self, name: str, version: int) -> Version: ...

    def read_document(self, source: bytes, *, name: str = "") -> ReadDocument:
        """Validate a document where it would run. `name` is given to a Chaos Toolkit experiment."""
        ...

    def plan_changes(self, documents: Sequence[ReadDocument], *, prune: bool) -> Sequence[Change]:
        """List what `store_documents` would do now."""
        ...

    def store_documents(
        self, documents: Sequence[ReadDocument], *, prune: bool, only_new: Collection[str] = ()
    ) -> Sequence[Change]:
        """Store all or none. Refused if a name in `only_new` is stored with another document."""
        ...

    def plan_run(self, source: str, variables: Mapping[str, str], *, environment: str = "") -> PlannedRun:
        """What a run of the document would do, and what it would meet now."""
        ...

    def start_scenario(self, name: str, variables: Mapping[str, str], how: Start) -> Run: ...

    def start_document(self, source: str, variables: Mapping[str, str], how: Start) -> Run:
        """Start a run of a document that need not be stored."""
        ...

    def list_runs(self, which: RunFilter) -> Sequence[Run]: ...

    def find_run_id(self, beginning: str) -> str:
        """Return the whole id of the only run whose id has this beginning."""
        ...

    def find_run(self, run_id: str) -> Run: ...

    def watch(self, run_id: str, after: int, until: float | None = None) -> Iterator[Event | None]:
        """Yield the events after that number as they happen, until the run has ended; None in between, and at
        `until`, which is a time of `time.monotonic`.

        Raises:
            UnavailableError: the coordinator has not responded for a minute.
        """
        ...

    def explain_missing_worker(self, run: Run) -> str:
        """Say whether a queued run may be waiting for a worker that does not run; else ""."""
        ...

    def stop_run(self, run_id: str, reason: str = "") -> bool:
        """Request the end. False if the run has ended or is already being stopped."""
        ...

    def pull_global_stop(self, reason: str) -> int: ...

    def release_global_stop(self) -> bool: ...

    def compare_runs(self, run_id: str, other_id: str) -> RunComparison:
        """Without `other_id`, with the last run of the scenario before it that has passed, or another one."""
        ...

    def render_report(self, run_id: str, format_name: str) -> bytes: ...

    def list_faults(self, which: FaultFilter) -> Sequence[Fault]: ...

    def undo_faults(self, run_id: str) -> Sequence[Fault]:
        """Undo what the run has left behind, and return what is still outstanding."""
        ...
