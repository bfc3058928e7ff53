"""The port that the verbs use: this machine's coordinator (local.py) or another one (remote.py)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Protocol

from scenarios.command_line.registrations import Registrations
from scenarios.domain.errors import Problem, ScenarioError
from scenarios.library.dry_run import PlannedStep
from scenarios.library.sync import Change, Subject
from scenarios.published.records import EventRecord, FaultRecord, RunRecord

MAX_NAMES_LISTED = 10


class CommandRefused(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """The command cannot be carried out; the message is for a person."""


class ScenarioNotFound(CommandRefused):
    """No scenario with this name is stored."""

    def __init__(self, name: str, stored: Sequence[str]) -> None:
        close = get_close_matches(name, stored, n=1)
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif stored:
            more = f" and {len(stored) - MAX_NAMES_LISTED} more" if len(stored) > MAX_NAMES_LISTED else ""
            hint = f"choose one of {', '.join(stored[:MAX_NAMES_LISTED])}{more}."
        else:
            hint = "store scenarios with 'scenario import'."
        super().__init__(f"There is no scenario {name!r}; {hint}")


class RunNotFound(CommandRefused):
    """No run, or more than one, has an id with this beginning."""

    def __init__(self, beginning: str, *, found: int = 0) -> None:
        if not beginning:
            super().__init__("Give the id of a run, or the beginning of it; 'scenario runs' lists all.")
            return
        what = f"There are {found} runs" if found else "There is no run"
        hint = "give more characters" if found else "'scenario runs' lists all"
        super().__init__(f"{what} whose id begins with {beginning!r}; {hint}.")


class ScheduleNotFound(CommandRefused):
    """There is no schedule with this name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no schedule {name!r}; 'scenario schedules' lists all.")


class NotRegistered(CommandRefused):
    """There is no service or host with this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"There is no {kind} {name!r}; 'scenario {kind} list' lists all.")


class NothingToUndo(CommandRefused):
    """The run is held by a process that will undo its faults."""


class CoordinatorUnavailable(CommandRefused):
    """The coordinator does not respond; it may do so later."""


@dataclass(frozen=True, slots=True)
class ScenarioFacts:
    """`document` is empty in lists; `last_run` is the verdict, or "" if it has never run."""

    name: str
    title: str
    description: str
    tags: Sequence[str]
    changed_at: datetime | None
    last_run: str = ""
    document: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Preflight:
    """`refusals` would end a run before it injects anything; nothing listens at the `unreachable` targets.

    `targets`: where the faults of fault drivers would be.
    """

    refusals: Sequence[str] = ()
    unreachable: Sequence[str] = ()
    warnings: Sequence[str] = ()
    targets: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ScheduleFacts:
    """`next_at` is None while it is paused."""

    name: str
    scenario: str
    cron: str
    time_zone: str
    paused: bool
    next_at: datetime | None
    changed_by: str


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A valid document. `left_out` lists what of a Chaos Toolkit experiment has no equivalent."""

    name: str
    source: str
    left_out: tuple[Problem, ...] = ()
    is_translated: bool = False
    subject: Subject = "scenario"


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Empty fields match every run; `status` is a state or an outcome."""

    scenario: str = ""
    status: str = ""
    limit: int = 20


class Coordinator(Registrations, Protocol):
    """All methods may raise CommandRefused, InvalidDocument, InvalidVariables and CannotBegin."""

    @property
    def poll_seconds(self) -> float:
        """Seconds between two looks at a run."""
        ...

    def list_scenarios(self) -> Sequence[ScenarioFacts]: ...

    def find_scenario(self, name: str) -> ScenarioFacts: ...

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

    def list_steps(self, source: str, variables: Mapping[str, str]) -> Sequence[PlannedStep]: ...

    def check_preflight(self, source: str, variables: Mapping[str, str]) -> Preflight:
        """Check what a run of the document would meet now."""
        ...

    def start_scenario(
        self, name: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord: ...

    def start_document(
        self, source: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord:
        """Start a run of a document that need not be stored."""
        ...

    def list_runs(self, which: RunFilter) -> Sequence[RunRecord]: ...

    def find_run_id(self, beginning: str) -> str:
        """Return the whole id of the only run whose id has this beginning."""
        ...

    def find_run(self, run_id: str) -> RunRecord: ...

    def list_events(self, run_id: str, after: int) -> Sequence[EventRecord]:
        """Return the next events in order, at most one page."""
        ...

    def explain_missing_worker(self, run: RunRecord) -> str:
        """Say whether a queued run may be waiting for a worker that does not run; else ""."""
        ...

    def stop_run(self, run_id: str) -> bool:
        """Request the end. False if the run has ended or is already being stopped."""
        ...

    def pull_global_stop(self, reason: str) -> int: ...

    def release_global_stop(self) -> bool: ...

    def render_report(self, run_id: str, format_name: str) -> bytes: ...

    def list_faults(self, *, outstanding: bool, limit: int) -> Sequence[FaultRecord]: ...

    def undo_faults(self, run_id: str) -> Sequence[FaultRecord]:
        """Undo what the run has left behind, and return what is still outstanding."""
        ...

    def list_schedules(self) -> Sequence[ScheduleFacts]: ...

    def pause_schedule(self, name: str, *, paused: bool) -> ScheduleFacts:
        """Pause or resume the schedule, and return it."""
        ...
