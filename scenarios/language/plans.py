"""Builds the plan that the engine carries out from a valid document."""

from collections.abc import Mapping
from typing import Any

from scenarios.domain import plan
from scenarios.domain.expectations import Expectations
from scenarios.domain.saved_values import unescape_saved
from scenarios.domain.templates import unescape_secrets
from scenarios.language.action_words import Action
from scenarios.language.check_words import Guard, Validation
from scenarios.language.load_words import Load, LoadExpect
from scenarios.language.regression_words import Regression, RegressionExpect
from scenarios.language.throughout_words import Throughout
from scenarios.language.timing import ACTION_SECONDS, PROBE_SECONDS, choose_time_limit
from scenarios.language.words import Phase, Scenario


def assemble_plan(valid: Scenario[Any, Any], spec: Mapping[str, Any]) -> plan.Plan:
    guards = zip(valid.spec.guards, spec.get("guards", ()), strict=True)
    loads = zip(valid.spec.load, spec.get("load", ()), strict=True)
    phases = zip(valid.spec.phases, spec["phases"], strict=True)
    return plan.Plan(
        scenario=valid.metadata.name,
        phases=tuple(_build_phase(phase, words) for phase, words in phases),
        guards=tuple(_build_guard(guard, words) for guard, words in guards),
        loads=tuple(_build_load(load, words) for load, words in loads),
        timeout=valid.spec.timeout,
        retry_interrupted=valid.spec.retry_interrupted,
        regression=_build_regression(valid.spec.regression),
    )


def _build_regression(regression: Regression | None) -> dict[str, float]:
    expect = regression.expect if regression is not None else None
    limits = {name: getattr(expect, name, None) for name in RegressionExpect.model_fields}
    return {name: limit.at_most for name, limit in limits.items() if limit is not None}


def _build_phase(phase: Phase[Any, Any], words: Mapping[str, Any]) -> plan.Phase:
    if "include" in words:
        return plan.Phase(name="")  # it is replaced, see includes.py
    actions = zip(phase.actions, words.get("actions", ()), strict=True)
    validations = list(zip(phase.validations, words.get("validations", ()), strict=True))
    return plan.Phase(
        name=phase.name,
        description=phase.description,
        hold=phase.hold,
        actions=tuple(_build_action(action, own) for action, own in actions),
        validations=tuple(
            _build_validation(validation, own) for validation, own in validations if "load" not in own
        ),
        load_validations=tuple(
            _build_load_validation(validation) for validation, own in validations if "load" in own
        ),
        on_failure=phase.on_failure,
        when=phase.when,
    )


def _build_action(action: Action[Any, Any], words: Mapping[str, Any]) -> plan.Action:
    if "fault" in words:
        return plan.build_fault_action(
            _build_step(words["fault"]),
            name=action.name,
            at=action.at,
            until=action.until,
            timeout=action.timeout,
            undo_timeout=action.timeout,
            retry=_build_retry(action),
            when=action.when,
        )
    return plan.Action(
        name=action.name,
        do=_build_step(words["do"]),
        undo=_build_step(words["undo"]) if "undo" in words else None,
        undone=_build_proof(words["undone"]) if "undone" in words else None,
        expect=Expectations(unescape_secrets(words["expect"])) if "expect" in words else None,
        at=action.at,
        until=action.until,
        timeout=choose_time_limit(words["do"], _get_written_timeout(action), ACTION_SECONDS),
        undo_timeout=_choose_undo_time(words, _get_written_timeout(action)),
        retry=_build_retry(action),
        when=action.when,
        save=words.get("save", {}),
    )


def _build_retry(action: Action[Any, Any]) -> plan.Retry | None:
    return plan.Retry(action.retry.times, action.retry.every) if action.retry is not None else None


def _choose_undo_time(words: Mapping[str, Any], written: float | None) -> float:
    """The time limit of the undo together with the probe that shows that it has worked."""
    limit = choose_time_limit(words.get("undo"), written, ACTION_SECONDS)
    return choose_time_limit(words.get("undone", {}).get("probe"), written, limit)


def _get_written_timeout(declared: Action[Any, Any] | Validation[Any] | Guard[Any]) -> float | None:
    """Its `timeout`; None if it is the default."""
    return declared.timeout if "timeout" in declared.model_fields_set else None


def _build_proof(words: Mapping[str, Any]) -> plan.Proof:
    return plan.Proof(
        probe=_build_step(words["probe"]),
        expect=Expectations(unescape_secrets(words["expect"])),
        timeout=choose_time_limit(words["probe"], None, PROBE_SECONDS),
    )


def _build_validation(validation: Validation[Any], words: Mapping[str, Any]) -> plan.Validation:
    return plan.Validation(
        name=validation.name,
        probe=_build_step(words["probe"]),
        expect=Expectations(unescape_secrets(words["expect"])),
        within=validation.within,
        hold_for=validation.for_,
        every=validation.every,
        throughout=validation.throughout is not False,
        success=validation.throughout.success if isinstance(validation.throughout, Throughout) else None,
        timeout=choose_time_limit(words["probe"], _get_written_timeout(validation), PROBE_SECONDS),
        when=validation.when,
        save=words.get("save", {}),
    )


def _build_load_validation(validation: Any) -> plan.LoadValidation:
    limits = [
        plan.Limit(figure, matcher, getattr(getattr(validation.expect, figure), matcher))
        for figure in LoadExpect.model_fields
        if figure in validation.expect.model_fields_set
        for matcher in getattr(validation.expect, figure).model_fields_set
    ]
    return plan.LoadValidation(
        name=validation.name,
        load=validation.load,
        limits=tuple(sorted(limits, key=lambda limit: limit.matcher)),
        within=validation.within,
        hold_for=validation.for_,
        every=validation.every,
        when=validation.when,
    )


def _build_load(load: Load[Any], words: Mapping[str, Any]) -> plan.Load:
    return plan.Load(
        name=load.name,
        rate=load.rate,
        request=_build_step(words["request"]),
        choose={name: tuple(_unescape(values)) for name, values in load.choose.items()},
        timeout=load.timeout,
    )


def _unescape(value: Any) -> Any:
    """The value of a part that cannot refer to anything later."""
    return unescape_saved(unescape_secrets(value))


def _build_guard(guard: Guard[Any], words: Mapping[str, Any]) -> plan.Guard:
    return plan.Guard(
        name=guard.name,
        probe=_build_step(words["probe"]),
        expect=Expectations(_unescape(words["expect"])),
        every=guard.every,
        tolerate=guard.tolerate,
        timeout=choose_time_limit(words["probe"], _get_written_timeout(guard), PROBE_SECONDS),
    )


def _build_step(words: Mapping[str, Any]) -> plan.Step:
    """Keep the arguments unchanged: the driver reads them when the step runs."""
    ((driver, arguments),) = ((name, inner) for name, inner in words.items() if name != "sensitive")
    return plan.Step(driver, dict(arguments), words.get("sensitive", False))
