"""The declarations of the scenario language, `coordinator/v1`.

Structure, defaults and JSON Schema all come from them. They are generic over the step, because its keys
depend on the installed drivers (see `scenario_model`).
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal

from pydantic import AfterValidator, BaseModel, Field, ModelWrapValidatorHandler, WithJsonSchema, create_model

from scenarios.domain.declarations import (
    ABSENT,
    DNS_LABEL_PATTERN,
    WHOLE,
    BrokenRule,
    Declaration,
    Duration,
    Name,
    PositiveDuration,
    Text,
    check_dns_label,
)
from scenarios.language.action_words import Action
from scenarios.language.check_words import Guard, Validation
from scenarios.language.include_words import IncludedPhases
from scenarios.language.load_rules import find_load_problems
from scenarios.language.load_words import MAX_LOADS, Load
from scenarios.language.regression_words import Regression
from scenarios.language.step_words import AnyFault, AnyStep, FaultWords, StepWords
from scenarios.language.timing import RUN_SECONDS, find_overlong_phases
from scenarios.language.variables import Variable

MAX_STEPS = 1_000


class Phase(Declaration, Generic[AnyStep, AnyFault]):
    """Ends when its `hold` is over and its validations have ended. `on_failure` says what follows if one of
    them fails. With `recover`, the phase ends at once, all faults are undone, later phases with actions are
    skipped, and those that only look are still carried out: they show whether and how fast the target
    recovers. With `stop`, everything is undone and all later phases are skipped. With `continue`, the run
    goes on as planned. The run has failed in each case.
    """

    name: Name
    description: Text = ""
    hold: Duration = 0.0
    when: bool = True
    actions: list[Action[AnyStep, AnyFault]] = Field(default_factory=list)
    validations: list[Validation[AnyStep]] = Field(default_factory=list)
    on_failure: Literal["recover", "stop", "continue"] = "recover"

    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """A phase with `include` stands for those of another scenario, and has no other words."""
        if isinstance(data, Mapping) and "include" in data:
            return IncludedPhases.model_validate(data)
        return super()._checked(data, handler)


class Spec(Declaration, Generic[AnyStep, AnyFault]):
    """`timeout` limits the whole run, without its rollback; phases that need longer are refused. An
    interrupted run that has left nothing injected is started again, up to `retry_interrupted` times.
    """

    timeout: PositiveDuration = RUN_SECONDS
    retry_interrupted: Annotated[int, Field(ge=0, le=100), WHOLE] = 0
    regression: Regression = Field(ABSENT)
    variables: dict[str, Variable] = Field(default_factory=dict)
    guards: list[Guard[AnyStep]] = Field(default_factory=list)
    load: Annotated[list[Load[AnyStep]], Field(max_length=MAX_LOADS)] = Field(default_factory=list)
    phases: Annotated[list[Phase[AnyStep, AnyFault]], Field(min_length=1)]

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        yield from find_overlong_phases(values)
        yield from find_load_problems(values)
        phases = values.get("phases")
        if not isinstance(phases, list) or not phases:
            return
        if all(map(_is_left_out, phases)):
            yield BrokenRule(
                ("phases", 0, "when"), "'when' of every phase is false: nothing is left to carry out"
            )
        elif not (values.get("guards") or values.get("load")) and all(
            _is_left_out(phase) or _is_emptied(phase) for phase in phases
        ):
            first = next(index for index, phase in enumerate(phases) if not _is_left_out(phase))
            rule = (
                "'when' of every action and validation is false: the run would pass without testing anything"
            )
            yield BrokenRule(("phases", first), rule)


def _is_left_out(phase: Any) -> bool:
    return isinstance(phase, Mapping) and phase.get("when") is False


def _is_emptied(phase: Any) -> bool:
    """Whether a phase has actions or validations, and none of them is left."""
    found = [phase.get(word, []) for word in ("actions", "validations")] if isinstance(phase, Mapping) else []
    parts = [part for listed in found if isinstance(listed, list) for part in listed]
    return bool(parts) and all(map(_is_left_out, parts))


class Metadata(Declaration):
    name: Annotated[
        str,
        AfterValidator(check_dns_label),
        WithJsonSchema({"type": "string", "pattern": DNS_LABEL_PATTERN}),
    ]
    title: Name = ""
    description: Text = ""
    tags: list[Name] = Field(default_factory=list)


class Scenario(Declaration, Generic[AnyStep, AnyFault]):
    api_version: Literal["coordinator/v1"] = Field(alias="apiVersion")
    kind: Literal["Scenario"]
    metadata: Metadata
    spec: Spec[AnyStep, AnyFault]


Models = Mapping[str, type[BaseModel]]


def scenario_model(drivers: Models, faults: Models | None = None) -> type[Scenario[Any, Any]]:
    """Build the model of the language for the arguments of these drivers and fault drivers, by their name."""
    return _scenario_model(tuple(sorted(drivers.items())), tuple(sorted((faults or {}).items())))


# Building the models takes about 10 ms, as long as reading a document of hundreds of steps.
@lru_cache(maxsize=8)
def _scenario_model(
    drivers: tuple[tuple[str, type[BaseModel]], ...], faults: tuple[tuple[str, type[BaseModel]], ...]
) -> type[Scenario[Any, Any]]:
    words = (_build_words("Step", StepWords, drivers), _build_words("Fault", FaultWords, faults))
    return Scenario.__class_getitem__(words)  # type: ignore[return-value]


def _build_words(
    name: str, kind: type[StepWords], drivers: tuple[tuple[str, type[BaseModel]], ...]
) -> type[StepWords]:
    # The fields have neutral names, because a driver may be called `copy` or `my-driver`. None of them is
    # required, but a null is refused, because defaults are not validated.
    words: dict[str, Any] = {
        f"driver_{index}": (arguments, Field(ABSENT, alias=driver))
        for index, (driver, arguments) in enumerate(drivers)
    }
    return create_model(name, __base__=kind, __doc__=kind.__doc__, **words)
