"""What can be known before a run breaks anything: found here, or found out later with a fault injected.

Carries out no step. `find_problems` asks nobody; `find_unreachable` opens connections and sends nothing.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.late_references import mentions_saved
from scenarios.domain.plan import Action, Plan, Step
from scenarios.domain.templates import find_secrets
from scenarios.engine.steps import REACH_SECONDS, StepRunner

_MAX_PLACES = 3


@dataclass(frozen=True, slots=True)
class PlacedStep:
    """A step and how people speak of it."""

    place: str
    step: Step


def find_problems(plan: Plan, steps: StepRunner) -> list[str]:
    """Why steps cannot be carried out as the site is now; a sentence for each reason, with its places.

    Unknown services and drivers, missing secrets, arguments that a secret makes senseless, and what the
    site does not allow. All secrets that can be had are known to the redactor afterwards.
    """
    missing = dict(_find_missing_secrets(plan, steps))
    found: dict[str, list[str]] = {reason: [] for reason in missing.values()}
    for placed in list_placed_steps(plan):
        lacks = find_secrets(placed.step.arguments) & missing.keys()
        reasons = [missing[name] for name in sorted(lacks)] if lacks else _find_refusals(placed.step, steps)
        for reason in reasons:
            found.setdefault(reason, []).append(placed.place)
    return [_describe(reason, places) for reason, places in found.items()]


@dataclass(frozen=True, slots=True)
class Targets:
    """`unreachable`: where nothing listens, or a fault has no target. `chosen`: where faults would be."""

    unreachable: list[str]
    chosen: list[str]


async def find_unreachable(placed: Iterable[PlacedStep], steps: StepRunner) -> list[str]:
    """Where nothing listens, of the addresses of these steps, and which of their faults have no target."""
    return (await look_for_targets(placed, steps)).unreachable


async def look_for_targets(placed: Iterable[PlacedStep], steps: StepRunner) -> Targets:
    """Ask the target of each of these steps once, all at the same time; nothing is changed there."""
    places: dict[tuple[str, str], list[PlacedStep]] = {}
    for step in placed:
        if step.step.operation is not None and mentions_saved(step.step.arguments):
            continue  # what it will be is not known yet
        places.setdefault((step.step.driver, _find_address(step.step)), []).append(step)
    answers = await asyncio.gather(*(_look_for_target(steps, same[0].step) for same in places.values()))
    unreachable: dict[str, list[str]] = {}
    chosen: dict[str, list[str]] = {}
    for (label, reason), same in zip(answers, places.values(), strict=True):
        for sentence, found in ((label, chosen), (reason, unreachable)):
            if sentence:
                found.setdefault(sentence, []).extend(step.place for step in same)
    return Targets(*([_describe(*entry) for entry in found.items()] for found in (unreachable, chosen)))


def _find_address(step: Step) -> str:
    """What the step's target is known by; two faults of one service may have different ones."""
    named = step.arguments.get("service") or step.arguments.get("url")
    return str(named if named and step.operation is None else step.arguments)


def select_steps_to_reach(plan: Plan, steps: StepRunner) -> list[PlacedStep]:
    """The steps of faults whose targets must be there already when the first fault is injected.

    Only those before the first action that might start a target, as a command might.
    """
    found: list[PlacedStep] = []
    for phase in plan.phases:
        for action in phase.actions:
            if not steps.can_start_nothing(action.do):
                return found
            if action.undo is not None:
                found += _list_action_steps(action, phase.name)
    return found


def list_placed_steps(plan: Plan) -> Iterator[PlacedStep]:
    for load in plan.loads:
        yield PlacedStep(f"load {load.name!r}", load.request)
    for guard in plan.guards:
        yield PlacedStep(f"guard {guard.name!r}", guard.probe)
    for phase in plan.phases:
        for action in phase.actions:
            yield from _list_action_steps(action, phase.name)
            if action.undone is not None and not action.is_driven_fault:
                place = f"'undone' of action {action.name!r} of phase {phase.name!r}"
                yield PlacedStep(place, action.undone.probe)
        for validation in phase.validations:
            yield PlacedStep(f"validation {validation.name!r} of phase {phase.name!r}", validation.probe)


def _list_action_steps(action: Action, phase: str) -> Iterator[PlacedStep]:
    place = f"action {action.name!r} of phase {phase!r}"
    yield PlacedStep(place, action.do)
    if action.undo is not None and not action.is_driven_fault:
        yield PlacedStep(f"the undo of {place}", action.undo)


def _find_missing_secrets(plan: Plan, steps: StepRunner) -> Iterator[tuple[str, str]]:
    for name in sorted(plan.secrets()):
        try:
            steps.learn_secrets([name])
        except StepImpossible as error:
            yield name, str(error)


def _find_refusals(step: Step, steps: StepRunner) -> Iterator[str]:
    try:
        steps.check(step)
    except StepImpossible as error:
        yield str(error)


async def _look_for_target(steps: StepRunner, step: Step) -> tuple[str, str]:
    """Where the step's fault would be, in words, and why it has no target; one of them is ""."""
    try:
        if step.operation is not None:
            target = await steps.choose_target(step, REACH_SECONDS)
            return str(target.get("label", "")), ""
        await steps.reach(step)
    except StepImpossible as error:
        # For a plain step, `find_problems` reports it.
        return "", str(error) if step.operation is not None else ""
    except StepFailed as error:
        return "", str(error)
    return "", ""


def _describe(reason: str, places: list[str]) -> str:
    unique = list(dict.fromkeys(places))
    if not unique:
        return reason
    more = f" and {len(unique) - _MAX_PLACES} more" if len(unique) > _MAX_PLACES else ""
    return f"{reason.rstrip('.')} ({', '.join(unique[:_MAX_PLACES])}{more})"
