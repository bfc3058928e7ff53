"""The steps that a run would carry out, with its variables filled in and its secrets left as references."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from scenarios.domain.plan import Plan, Step


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """`role` is guard, do, undo, undone or probe; `arguments` is YAML."""

    phase: str
    name: str
    role: str
    driver: str
    arguments: str


def list_steps(plan: Plan) -> Iterator[PlannedStep]:
    for guard in plan.guards:
        yield _describe_step("throughout", guard.name, "guard", guard.probe)
    for phase in plan.phases:
        for action in phase.actions:
            yield _describe_step(phase.name, action.name, "do", action.do)
            if action.undo is not None:
                yield _describe_step(phase.name, action.name, "undo", action.undo)
            if action.undone is not None:
                yield _describe_step(phase.name, action.name, "undone", action.undone.probe)
        for validation in phase.validations:
            yield _describe_step(phase.name, validation.name, "probe", validation.probe)


def _describe_step(phase: str, name: str, role: str, step: Step) -> PlannedStep:
    arguments = yaml.safe_dump(dict(step.arguments), sort_keys=False, allow_unicode=True)
    return PlannedStep(phase, name, role, step.driver, arguments)
