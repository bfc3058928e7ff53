"""A plan: what the engine carries out. A valid document with its variables filled in, and nothing else.

All times are seconds (float). Immutable, so that no one changes what is being carried out.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scenarios.domain.expectations import Expectations
from scenarios.domain.templates import secrets_in


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a driver; `arguments` are JSON values, so that the ledger can keep them.

    Secrets stand in them as `${secret:NAME}` (see templates.py).
    """

    driver: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Action:
    """A `do`, and how to take it back. One with an `undo` is a fault."""

    name: str
    do: Step
    undo: Step | None = None
    at: float | None = None
    until: Literal["phase", "run"] = "phase"
    timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Validation:
    """A probe and what it must return: once, `within` a time (eventually), or `throughout` the phase."""

    name: str
    probe: Step
    expect: Expectations
    within: float | None = None
    hold_for: float | None = None
    every: float = 1.0
    throughout: bool = False
    timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Guard:
    """Watched from the first phase to the last; trips after more than `tolerate` failures in a row."""

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
    on_failure: Literal["stop", "continue"] = "stop"


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: str
    phases: tuple[Phase, ...]
    guards: tuple[Guard, ...] = ()
    timeout: float = 3600.0
    retry_interrupted: int = 0

    def steps(self) -> Iterator[Step]:
        for guard in self.guards:
            yield guard.probe
        for phase in self.phases:
            for action in phase.actions:
                yield from (action.do, action.undo) if action.undo else (action.do,)
            for validation in phase.validations:
                yield validation.probe

    def secrets(self) -> set[str]:
        """The names of all secrets that its steps refer to."""
        return set().union(*(secrets_in(step.arguments) for step in self.steps()))

    def touched_services(self) -> set[str]:
        """The services that the actions name: these a run has for itself. What is only probed is shared."""
        actions = [action for phase in self.phases for action in phase.actions]
        steps = [step for action in actions for step in (action.do, action.undo) if step is not None]
        named = (step.arguments.get("service") for step in steps)
        return {service for service in named if isinstance(service, str)}
