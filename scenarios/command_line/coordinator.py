"""The port that the verbs speak to: a coordinator here (local.py) or elsewhere (remote.py)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Protocol

from scenarios.domain.errors import Problem, ScenarioError
from scenarios.library.dry_run import PlannedStep
from scenarios.library.sync import Change
from scenarios.records import EventRecord, FaultRecord, RunRecord

MAX_NAMES_LISTED = 10


class CommandRefused(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """What was asked cannot be done; the sentence is for a person."""


class ScenarioNotFound(CommandRefused):
    """No scenario of that name is stored."""

    def __init__(self, name: str, stored: Sequence[str]) -> None:
        close = get_close_matches(name, stored, n=1)
        if close:
            hint = f"did you mean {close[0]!r}?"
        elif stored:
            more = f" and {len(stored) - MAX_NAMES_LISTED} more" if len(stored) > MAX_NAMES_LISTED else ""
            hint = f"stored are {', '.join(stored[:MAX_NAMES_LISTED])}{more}."
        else:
            hint = "none is stored: 'scenario import' stores some."
        super().__init__(f"There is no scenario {name!r}: {hint}")


class RunNotFound(CommandRefused):
    """No run, or more than one, has an id that begins so."""

    def __init__(self, beginning: str, *, found: int = 0) -> None:
        what = f"There are {found} runs" if found else "There is no run"
        hint = "give more of the id" if found else "'scenario runs' lists them"
        super().__init__(f"{what} whose id begins with {beginning!r}: {hint}.")


class ScheduleNotFound(CommandRefused):
    """No schedule of that name is stored."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no schedule {name!r}: 'scenario schedules' lists them.")


class NothingToUndo(CommandRefused):
    """The run is held by a worker, or by whoever undoes its faults already."""


class CoordinatorUnavailable(CommandRefused):
    """The coordinator cannot be asked now; asked again later it may answer."""


@dataclass(frozen=True, slots=True)
class ScenarioFacts:
    """`document` is empty in lists; `last_run` is a verdict, "" where it was never run."""

    name: str
    title: str
    description: str
    tags: Sequence[str]
    changed_at: datetime | None
    last_run: str = ""
    document: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Preflight:
    """`refusals` would end a run before it injects anything; nothing listens at what is `unreachable`."""

    refusals: Sequence[str] = ()
    unreachable: Sequence[str] = ()
    warnings: Sequence[str] = ()


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
    """A valid document. `left_out`: what of a Chaos Toolkit experiment could not be carried over."""

    name: str
    source: str
    left_out: tuple[Problem, ...] = ()
    is_translated: bool = False


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Empty fields let every run through; `status` is a state or an outcome."""

    scenario: str = ""
    status: str = ""
    limit: int = 20


class Coordinator(Protocol):
    """Raises CommandRefused, InvalidDocument, InvalidVariables and CannotBegin, wherever it is."""

    @property
    def poll_seconds(self) -> float:
        """How often it may be asked how a run is doing."""
        ...

    def list_scenarios(self) -> Sequence[ScenarioFacts]: ...

    def find_scenario(self, name: str) -> ScenarioFacts: ...

    def read_document(self, source: bytes, *, name: str = "") -> ReadDocument:
        """The document, checked where it would run; nothing is stored. `name` is for an experiment."""
        ...

    def plan_changes(self, documents: Sequence[ReadDocument], *, prune: bool) -> Sequence[Change]:
        """What `store` would do now."""
        ...

    def store_documents(
        self, documents: Sequence[ReadDocument], *, prune: bool, only_new: Collection[str] = ()
    ) -> Sequence[Change]:
        """All of them, or none; refused where a name of `only_new` is stored with another document."""
        ...

    def list_steps(self, source: str, variables: Mapping[str, str]) -> Sequence[PlannedStep]: ...

    def check_preflight(self, source: str, variables: Mapping[str, str]) -> Preflight:
        """What a run of the document would meet now, as far as it can be told before it is begun."""
        ...

    def start_scenario(
        self, name: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord: ...

    def start_document(
        self, source: str, variables: Mapping[str, str], *, wait: bool, priority: int = 0
    ) -> RunRecord:
        """Carry out a document that need not be stored."""
        ...

    def list_runs(self, which: RunFilter) -> Sequence[RunRecord]: ...

    def find_run_id(self, beginning: str) -> str:
        """The whole id of the one run whose id begins so."""
        ...

    def find_run(self, run_id: str) -> RunRecord: ...

    def list_events(self, run_id: str, after: int) -> Sequence[EventRecord]:
        """The next events, by number; not more than fit into a page."""
        ...

    def explain_missing_worker(self, run: RunRecord) -> str:
        """Where a queued run may wait for a worker that is not there: a sentence, else ""."""
        ...

    def stop_run(self, run_id: str) -> bool:
        """False where the run has ended, or is being stopped already."""
        ...

    def pull_global_stop(self, reason: str) -> int: ...

    def release_global_stop(self) -> bool: ...

    def render_report(self, run_id: str, format_name: str) -> bytes: ...

    def list_faults(self, *, outstanding: bool, limit: int) -> Sequence[FaultRecord]: ...

    def undo_faults(self, run_id: str) -> Sequence[FaultRecord]:
        """Undo what the run left behind; what is outstanding afterwards."""
        ...

    def list_schedules(self) -> Sequence[ScheduleFacts]: ...

    def pause_schedule(self, name: str, *, paused: bool) -> ScheduleFacts:
        """Pause it, or let it go on; as it is then."""
        ...
