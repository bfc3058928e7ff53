"""The steps that a run would carry out, with its variables filled in and its secrets left as references."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from scenarios.domain.counts import format_count
from scenarios.domain.durations import format_duration
from scenarios.domain.plan import Action, LeftOut, LoadValidation, Plan, Step, Validation
from scenarios.drivers.installed import describe_end


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """`role` is load, guard, fault, do, undo, undone or probe; `arguments` is YAML.

    `note` says, for example, what ends a fault, or how often a load sends its request.
    """

    phase: str
    name: str
    role: str
    driver: str
    arguments: str
    note: str = ""


def list_steps(plan: Plan) -> Iterator[PlannedStep]:
    for load in plan.loads:
        described = _describe_step("throughout", load.name, "load", load.request)
        yield replace(described, note=f"{load.rate:g} requests a second")
    for guard in plan.guards:
        yield _describe_step("throughout", guard.name, "guard", guard.probe)
    for phase in plan.phases:
        for action in phase.actions:
            yield from _describe_action(phase.name, action)
        for validation in phase.validations:
            described = _describe_step(phase.name, validation.name, "probe", validation.probe)
            yield replace(described, note=_describe_saved(validation))
    for left_out in plan.left_out:
        yield from _describe_left_out(left_out)


def _describe_left_out(left_out: LeftOut) -> Iterator[PlannedStep]:
    of_phase = " of the phase" if left_out.kind == "phase" else ""
    for part in left_out.parts:
        if isinstance(part, LoadValidation):
            continue  # it has no step
        is_action = isinstance(part, Action)
        role, step = ("do", part.do) if isinstance(part, Action) else ("probe", part.probe)
        role = "fault" if is_action and step.operation is not None else role
        described = _describe_step(left_out.phase, part.name, role, step)
        yield replace(described, note=f"left out, because 'when'{of_phase} is false")


def _describe_action(phase: str, action: Action) -> Iterator[PlannedStep]:
    if action.is_driven_fault:
        described = _describe_step(phase, action.name, "fault", action.do)
        notes = filter(None, (describe_end(action), _describe_retry(action)))
        yield replace(described, note="; ".join(notes))
        return
    notes = filter(None, (_describe_retry(action), _describe_saved(action)))
    yield replace(_describe_step(phase, action.name, "do", action.do), note="; ".join(notes))
    if action.undo is not None:
        yield replace(_describe_step(phase, action.name, "undo", action.undo), note=describe_end(action))
    if action.undone is not None:
        yield _describe_step(phase, action.name, "undone", action.undone.probe)


def _describe_saved(part: Action | Validation) -> str:
    return f"saves {', '.join(map(repr, part.save))}" if part.save else ""


def _describe_retry(action: Action) -> str:
    if action.retry is None:
        return ""
    times = format_count(action.retry.times, "more time")
    return f"tried up to {times}, every {format_duration(action.retry.every)}, if it was not done"


def _describe_step(phase: str, name: str, role: str, step: Step) -> PlannedStep:
    arguments = yaml.safe_dump(dict(step.arguments), sort_keys=False, allow_unicode=True)
    return PlannedStep(phase, name, role, step.driver, arguments)
