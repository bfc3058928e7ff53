"""Leaves out of a plan what its `when` excludes."""

from collections.abc import Iterator
from dataclasses import replace

from scenarios.domain.plan import LeftOut, LoadValidation, Phase, Plan, Validation


def leave_out(plan: Plan) -> Plan:
    """The plan with only what is to be carried out, and a list of the rest."""
    left_out = tuple(_list_left_out(plan))
    if not left_out:
        return plan
    phases = tuple(_leave_out_parts(phase) for phase in plan.phases if phase.when)
    return replace(plan, phases=phases, left_out=(*left_out, *plan.left_out))


def _leave_out_parts(phase: Phase) -> Phase:
    actions = tuple(action for action in phase.actions if action.when)
    validations = tuple(validation for validation in phase.validations if validation.when)
    of_loads = tuple(validation for validation in phase.load_validations if validation.when)
    return replace(phase, actions=actions, validations=validations, load_validations=of_loads)


def _list_left_out(plan: Plan) -> Iterator[LeftOut]:
    for phase in plan.phases:
        if not phase.when:
            yield LeftOut(
                "phase", phase.name, phase.name, (*phase.actions, *phase.validations, *phase.load_validations)
            )
            continue
        for action in phase.actions:
            if not action.when:
                yield LeftOut("action", phase.name, action.name, (action,))
        judged: list[Validation | LoadValidation] = [*phase.validations, *phase.load_validations]
        for validation in judged:
            if not validation.when:
                yield LeftOut("validation", phase.name, validation.name, (validation,))
