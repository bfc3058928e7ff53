"""A plan: a valid document with its variables filled in, which the engine carries out.

All times are seconds (float). Plans are immutable, so that nothing changes while a run uses them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal
from urllib.parse import urlsplit

from scenarios.domain.expectations import Expectations
from scenarios.domain.load_values import Threshold
from scenarios.domain.templates import find_secrets

# Seconds of a load that `within` judges at once.
WINDOW_SECONDS = 5.0
# Requests that the loads of a run send together.
MAX_REQUESTS = 1_000_000
# Below these numbers of requests, one request more or less would change the percentile at random.
MIN_SAMPLES = {"p95": 20, "p99": 100}


class FaultOperation(StrEnum):
    """What a step asks of a fault driver."""

    INJECT = "inject"
    REMOVE = "remove"
    LOOK = "look"  # whether the fault is present


@dataclass(frozen=True, slots=True)
class FaultCall:
    """What a fault driver is told about the fault it injects, renews or removes.

    `id` is unique, chosen by the coordinator, and in the ledger before anything is sent. `lease` is the
    number of seconds after which a leased fault ends by itself. `target` is what `choose_target` returned.
    """

    id: str
    lease: float
    target: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a driver; `arguments` are JSON values, so that the ledger can store them.

    They contain secrets as `${secret:NAME}` (see templates.py). If a step is `sensitive`, its response is not
    stored. The steps of a `fault` have an `operation`, and know the fault from the moment it is opened.
    """

    driver: str
    arguments: Mapping[str, Any]
    sensitive: bool = False
    operation: FaultOperation | None = None
    fault: FaultCall | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """The probe and the expectation that show that a fault is gone."""

    probe: Step
    expect: Expectations
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an action that was not done is tried again, and the pause before each time."""

    times: int
    every: float = 1.0


@dataclass(frozen=True, slots=True)
class Action:
    """A `do` and its `undo`. An action with an `undo` is a fault; one that does not meet `expect` has failed.

    `timeout` limits the `do`, `undo_timeout` each try of the `undo`. `fault_id` is the id that its steps know
    from the document; "" if they need none. `save` has the field or the JSONPath of each value that
    later steps use.
    """

    name: str
    do: Step
    undo: Step | None = None
    undone: Proof | None = None
    expect: Expectations | None = None
    at: float | None = None
    until: Literal["phase", "run"] = "phase"
    timeout: float = 30.0
    undo_timeout: float = 30.0
    fault_id: str = ""
    retry: Retry | None = None
    when: bool = True
    save: Mapping[str, str] = field(default_factory=dict)

    def steps(self) -> Iterator[Step]:
        yield self.do
        if self.undo is not None:
            yield self.undo
        if self.undone is not None:
            yield self.undone.probe

    @property
    def is_driven_fault(self) -> bool:
        """Whether a fault driver injects, removes and verifies it."""
        return self.do.operation is not None

    def for_fault(self, call: FaultCall) -> "Action":
        """The same action, whose steps know the fault that it injects."""
        if self.undo is None or self.undone is None:
            raise TypeError(f"action {self.name!r} has no fault of a fault driver")
        proof = replace(self.undone, probe=replace(self.undone.probe, fault=call))
        undo = replace(self.undo, fault=call)
        return replace(self, do=replace(self.do, fault=call), undo=undo, undone=proof)


# What shows that the fault of a fault driver is gone: what its `LOOK` returns then.
ABSENT_FAULT = Expectations({"present": False})


def build_fault_action(step: Step, **words: Any) -> Action:
    """The action whose `fault` is this step; `words` are the action's other fields."""
    return Action(
        do=replace(step, operation=FaultOperation.INJECT),
        undo=replace(step, operation=FaultOperation.REMOVE),
        undone=Proof(replace(step, operation=FaultOperation.LOOK), ABSENT_FAULT),
        **words,
    )


@dataclass(frozen=True, slots=True)
class Validation:
    """A probe and what it must return: once, `within` a time, or `throughout` the phase.

    With `throughout`, `success` is the share of looks that must hold; None if the first miss fails it.
    """

    name: str
    probe: Step
    expect: Expectations
    within: float | None = None
    hold_for: float | None = None
    every: float = 1.0
    throughout: bool = False
    success: float | None = None
    timeout: float = 10.0
    when: bool = True
    save: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Load:
    """Requests at `rate` per second, from the first phase to the last.

    In `request`, `${NAME}` stands for one of the values of `choose[NAME]`.
    """

    name: str
    rate: float
    request: Step
    choose: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Limit:
    """What a figure of a load must be: `matcher` is at_most, at_least, below or above."""

    figure: str
    matcher: str
    threshold: Threshold


@dataclass(frozen=True, slots=True)
class LoadValidation:
    """Limits of a load's figures: of the whole phase, or, with `within`, of the last seconds."""

    name: str
    load: str
    limits: tuple[Limit, ...]
    within: float | None = None
    hold_for: float | None = None
    every: float = 1.0
    when: bool = True


@dataclass(frozen=True, slots=True)
class Guard:
    """A probe of the whole run; it trips after more than `tolerate` failures in a row."""

    name: str
    probe: Step
    expect: Expectations
    every: float = 1.0
    tolerate: int = 0
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Phase:
    name: str
    description: str = ""
    hold: float = 0.0
    actions: tuple[Action, ...] = ()
    validations: tuple[Validation, ...] = ()
    load_validations: tuple[LoadValidation, ...] = ()
    on_failure: Literal["recover", "stop", "continue"] = "recover"
    when: bool = True


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A phase, an action or a validation whose `when` is false; `parts` are the steps that it would have."""

    kind: Literal["phase", "action", "validation"]
    phase: str
    name: str
    parts: tuple[Action | Validation | LoadValidation, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind} {self.name!r}" + (f" of phase {self.phase!r}" if self.kind != "phase" else "")


@dataclass(frozen=True, slots=True)
class Plan:
    """`regression`: the highest multiples of what is usual, by the name of the figure. `left_out` lists what
    the document also has, but a `when` excludes.
    """

    scenario: str
    phases: tuple[Phase, ...]
    guards: tuple[Guard, ...] = ()
    loads: tuple[Load, ...] = ()
    timeout: float = 3600.0
    retry_interrupted: int = 0
    regression: Mapping[str, float] = field(default_factory=dict)
    left_out: tuple[LeftOut, ...] = ()

    def checks_anything(self) -> bool:
        """Whether anything that a target does can fail a run, beside an action that cannot be carried out."""
        return bool(self.guards or self.regression) or any(
            phase.validations or phase.load_validations or any(action.expect for action in phase.actions)
            for phase in self.phases
        )

    def steps(self) -> Iterator[Step]:
        yield from (load.request for load in self.loads)
        for guard in self.guards:
            yield guard.probe
        for phase in self.phases:
            for action in phase.actions:
                yield from action.steps()
            for validation in phase.validations:
                yield validation.probe

    def secrets(self) -> set[str]:
        """The names of all secrets that its steps refer to."""
        return set().union(*(find_secrets(step.arguments) for step in self.steps()))

    def probes(self) -> Iterator[Step]:
        yield from (guard.probe for guard in self.guards)
        for phase in self.phases:
            yield from (action.undone.probe for action in phase.actions if action.undone is not None)
            yield from (validation.probe for validation in phase.validations)

    def steps_of_actions(self) -> Iterator[Step]:
        yield from (load.request for load in self.loads)
        for phase in self.phases:
            for action in phase.actions:
                yield from (step for step in (action.do, action.undo) if step is not None)


def find_service(step: Step) -> str:
    """The service that the step names, or ""."""
    named = step.arguments.get("service")
    return named if isinstance(named, str) else ""


def find_services(steps: Iterable[Step]) -> set[str]:
    """The services that the steps name."""
    named = (step.arguments.get("service") for step in steps)
    return {service for service in named if isinstance(service, str)}


def accepts_any_certificate(step: Step) -> bool:
    """Whether the step says so: `tls: {verify: false}`."""
    tls = step.arguments.get("tls")
    return isinstance(tls, Mapping) and tls.get("verify") is False


def find_urls(steps: Iterable[Step]) -> set[str]:
    """The addresses that the steps name with `url`, `server`, or `host` and `port`."""
    return {url for step in steps for url in _find_urls_in(step.arguments)}


def _find_urls_in(arguments: Mapping[str, Any]) -> Iterator[str]:
    yield from (url for word in ("url", "server") if isinstance(url := arguments.get(word), str))
    host, port = arguments.get("host"), arguments.get("port")
    if isinstance(host, str) and isinstance(port, int):
        bare = host.removeprefix("[").removesuffix("]")
        yield f"tcp://[{bare}]:{port}" if ":" in bare else f"tcp://{bare}:{port}"


def origin(url: str) -> str:
    """Scheme, host and port of a URL, without its user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
