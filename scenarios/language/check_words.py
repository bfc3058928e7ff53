"""The words of what must hold: validations, guards, and the proof that a fault is gone."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Generic

from pydantic import BaseModel, Field, ModelWrapValidatorHandler

from scenarios.domain.declarations import (
    ABSENT,
    MISFIT,
    RELATION,
    WHOLE,
    BrokenRule,
    Declaration,
    Name,
    PositiveDuration,
)
from scenarios.domain.expectation_checks import find_misfits
from scenarios.language.each_words import NO_EACH, Each, find_each_problems
from scenarios.language.expectation_words import Expect
from scenarios.language.load_words import LoadValidation
from scenarios.language.save_words import NO_SAVE, Save, find_save_problems
from scenarios.language.step_words import AnyStep
from scenarios.language.throughout_words import ThroughoutOrFlag
from scenarios.language.timing import PROBE_SECONDS, find_cut_short_steps


def find_impossible_expectations(step: Any, probe: Any, expect: Any) -> Iterator[BrokenRule]:
    """Yield the expectations that the driver named in `probe` can never meet; `step` declares the drivers."""
    drivers: Mapping[str, type[BaseModel]] = step.drivers()
    named = [name for name in probe if name in drivers] if isinstance(probe, dict) else []
    driver = named[0] if len(named) == 1 else ""
    for misfit in find_misfits(expect, drivers.get(driver), driver) if isinstance(expect, dict) else ():
        kind = MISFIT if misfit.is_in_schema else RELATION
        yield BrokenRule(("expect", *misfit.path), misfit.rule, misfit.hint, kind=kind)


class Undone(Declaration, Generic[AnyStep]):
    """The probe that shows that a fault is gone. After the undo, it is repeated until it holds, for at most
    the action's `timeout` from the beginning of the undo. If it does not hold, the fault is outstanding and
    is undone again.
    """

    probe: AnyStep
    expect: Expect

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from find_impossible_expectations(step, values.get("probe"), values.get("expect"))


class Validation(Declaration, Generic[AnyStep]):
    """Starts when the actions without `at` are done. It probes once, or repeatedly. With `within`, it must
    begin to hold before that time is over and, with `for`, keep holding for that time. With `throughout`, it
    must hold during the whole phase: `true` fails at the first look that does not hold, `{success: 99%}`
    allows some. Without a `timeout`, a longer time limit of the probe itself applies. `save` names values of
    the response that held last, for steps of later phases; a response without one of them does not hold.
    """

    name: Name
    probe: AnyStep
    expect: Expect
    within: PositiveDuration = Field(ABSENT)
    for_: PositiveDuration = Field(ABSENT, alias="for")
    every: PositiveDuration = 1.0
    throughout: ThroughoutOrFlag = False
    timeout: PositiveDuration = PROBE_SECONDS
    save: Save = NO_SAVE
    each: Each = NO_EACH
    when: bool = True

    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """A validation with `load` is one of a load, which has other words."""
        if isinstance(data, Mapping) and "load" in data and "probe" not in data:
            return LoadValidation.model_validate(data)
        return super()._checked(data, handler)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        step: Any = cls.model_fields["probe"].annotation
        yield from find_impossible_expectations(step, values.get("probe"), values.get("expect"))
        yield from find_save_problems(values.get("save"), step.drivers(), values.get("probe"))
        yield from find_each_problems(values)
        if "save" in values and values.get("throughout", False) is not False:
            yield "save", "'save' and 'throughout' cannot be combined: it saves the values of one look"
        yield from find_cut_short_steps(values, (("probe",),), "validation")
        if "within" in values and values.get("throughout", False) is not False:
            yield "throughout", "'throughout' and 'within' cannot be combined: choose one"
        if "for" in values and "within" not in values:
            yield "for", "'for' requires 'within': say how long to wait"


class Guard(Declaration, Generic[AnyStep]):
    """Probed from the first phase to the last; more than `tolerate` failures in a row abort the run.

    A guard that has never held aborts the run at the end.
    """

    name: Name
    probe: AnyStep
    expect: Expect
    every: PositiveDuration = 1.0
    tolerate: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] = 0
    timeout: PositiveDuration = PROBE_SECONDS

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from find_impossible_expectations(step, values.get("probe"), values.get("expect"))
        yield from find_cut_short_steps(values, (("probe",),), "guard")
