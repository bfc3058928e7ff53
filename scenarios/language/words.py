"""The declarations of the scenario language, `coordinator/v1`.

Structure, defaults and JSON Schema all come from them. They are generic over the step, because its keys
depend on the installed drivers (see `scenario_model`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)

from scenarios.domain.declarations import (
    ABSENT,
    DNS_LABEL_PATTERN,
    MISFIT,
    RELATION,
    WHOLE,
    BrokenRule,
    Declaration,
    Duration,
    Name,
    PositiveDuration,
    Text,
)
from scenarios.domain.expectation_checks import find_misfits
from scenarios.domain.templates import has_secret
from scenarios.language.expectation_words import Expect
from scenarios.language.load_rules import find_load_problems
from scenarios.language.load_words import MAX_LOADS, Load, LoadValidation
from scenarios.language.regression_words import Regression
from scenarios.language.retry_words import Retry
from scenarios.language.throughout_words import ThroughoutOrFlag
from scenarios.language.timing import (
    ACTION_SECONDS,
    PROBE_SECONDS,
    RUN_SECONDS,
    find_cut_short_steps,
    find_overlong_phases,
)
from scenarios.language.variables import Variable

MAX_STEPS = 1_000
STEP_WORDS = frozenset({"probe", "do", "undo", "fault", "request"})

AnyStep = TypeVar("AnyStep")
AnyFault = TypeVar("AnyFault")


def _check_dns_label(text: str) -> str:
    if re.fullmatch(DNS_LABEL_PATTERN.strip("^$"), text):
        return text
    rule = "use a-z, 0-9 and '-' (not at the ends), at most 63 characters"
    raise ValueError(f"{text[:80]!r} is not a DNS label: {rule}, for example 'exchange-latency'")


def explain_misplaced_sensitive(driver: str) -> tuple[str, str]:
    """The message and the hint for `sensitive` among a driver's arguments."""
    return f"'sensitive' is not an argument of {driver!r}", f"write 'sensitive: true' beside {driver!r}"


def _ignores_sensitive(arguments: type[BaseModel], values: Any) -> bool:
    """Whether pydantic would silently drop `sensitive`; a model that forbids extra keys reports it."""
    is_lenient = arguments.model_config.get("extra") != "forbid" and "sensitive" not in arguments.model_fields
    return is_lenient and isinstance(values, dict) and "sensitive" in values


class StepWords(Declaration):
    """The name of one driver, with its arguments under it. With `sensitive: true` beside the driver, the
    response is not stored, only whether it met the expectation.
    """

    sensitive: bool = False
    kind: ClassVar[str] = "step"

    @classmethod
    def drivers(cls) -> dict[str, type[BaseModel]]:
        """The models of the drivers' arguments, by the name of the driver."""
        declared = ((field.alias, field.annotation) for field in cls.model_fields.values())
        return {name: arguments for name, arguments in declared if name and isinstance(arguments, type)}

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        arguments = cls.drivers()
        drivers = sorted(arguments)
        named = [name for name in values if name in drivers]
        for name in named:
            if _ignores_sensitive(arguments[name], values[name]):
                yield BrokenRule((name, "sensitive"), *explain_misplaced_sensitive(name))
        if not values.keys() - {"sensitive"}:
            yield "", f"the {cls.kind} has no driver; choose one of {', '.join(drivers) or 'none'}"
        for extra in named[1:]:
            yield (
                extra,
                f"the {cls.kind} has two drivers, {named[0]!r} and {extra!r}; a {cls.kind} takes exactly one",
            )

    @model_validator(mode="wrap")
    @classmethod
    def _excuse_secrets(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """Accept a step whose only errors are values with secrets: these are checked when it runs."""
        try:
            return handler(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if all(has_secret(detail["input"]) and detail["type"] != RELATION for detail in found):
                return cls.model_construct()
            raise


class FaultWords(StepWords):
    """The name of one fault driver, with its arguments under it. The driver injects, removes and verifies the
    fault. Faults that end by themselves do so when nobody renews them any more.
    """

    kind: ClassVar[str] = "fault"


def _check_expectations(step: Any, probe: Any, expect: Any) -> Iterator[BrokenRule]:
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
        yield from _check_expectations(step, values.get("probe"), values.get("expect"))


class Action(Declaration, Generic[AnyStep, AnyFault]):
    """Actions run one after another. An action with `at` runs in parallel to the others, at that offset from
    the start of the phase. An action has either `do` or `fault`.

    `fault` names a fault driver, which knows the undo: the fault counts as undone when the driver sees that
    it is gone. If its target loses the fault before its end, the run is errored.

    An action with an `undo` is a fault, too. A fault is undone when its phase ends, or with `until: run` when
    the run ends. If the response does not meet `expect`, the action has failed, like a validation. If
    `expect` names
    `status` (`http`), `exit_code` (`command`) or `connected` (`tcp`), only `expect` decides whether the
    action was done, unless the step has `ok`. An action that was not done, or got no response, is errored.
    Without a `timeout`, a longer time limit of the step itself applies.

    A fault whose injection got no response may still arrive after its undo. It stays in the ledger, and its
    services are held, for LATE_INJECTION_SECONDS (30s) or its own `timeout`, whichever is longer; then it is
    undone again. The run does not wait for that.
    """

    name: Name
    do: AnyStep = Field(ABSENT)
    fault: AnyFault = Field(ABSENT)
    undo: AnyStep = Field(ABSENT)
    undone: Undone[AnyStep] = Field(ABSENT)
    expect: Expect = Field(ABSENT)
    at: Duration = Field(ABSENT)
    until: Literal["phase", "run"] = "phase"
    timeout: PositiveDuration = ACTION_SECONDS
    retry: Retry = Field(ABSENT)
    when: bool = True

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        yield from _check_expectations(
            cls.model_fields["do"].annotation, values.get("do"), values.get("expect")
        )
        yield from find_cut_short_steps(values, (("do",), ("undo",), ("undone", "probe")), "action")
        if "fault" in values:
            for word in FAULTLESS_WORDS.intersection(values):
                yield word, f"'fault' and {word!r} cannot be combined: {FAULTLESS_REASON[word]}"
        elif "do" not in values:
            yield "", "the action has no 'do' and no 'fault'; say what to do, or which fault to inject"
        elif "undone" in values and "undo" not in values:
            yield "undone", "'undone' requires 'undo': say how to undo the fault"


FAULTLESS_REASON = {
    "do": "an action does one thing",
    "undo": "a fault driver knows how to remove its fault",
    "undone": "a fault driver sees for itself whether its fault is gone",
    "expect": "write a validation for what must hold",
}
FAULTLESS_WORDS = frozenset(FAULTLESS_REASON)


class Validation(Declaration, Generic[AnyStep]):
    """Starts when the actions without `at` are done. It probes once, or repeatedly: with `within` it must
    hold before that time is over (and stay so `for` a time without a break), with `throughout` during the
    whole phase: `true` fails at the first look that does not hold, `{success: 99%}` allows some. Without a
    `timeout`, a longer time limit of the probe itself applies.
    """

    name: Name
    probe: AnyStep
    expect: Expect
    within: PositiveDuration = Field(ABSENT)
    for_: PositiveDuration = Field(ABSENT, alias="for")
    every: PositiveDuration = 1.0
    throughout: ThroughoutOrFlag = False
    timeout: PositiveDuration = PROBE_SECONDS
    when: bool = True

    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """A validation with `load` is one of a load, which has other words."""
        if isinstance(data, Mapping) and "load" in data and "probe" not in data:
            return LoadValidation.model_validate(data)
        return super()._checked(data, handler)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from _check_expectations(step, values.get("probe"), values.get("expect"))
        yield from find_cut_short_steps(values, (("probe",),), "validation")
        if "within" in values and values.get("throughout", False) is not False:
            yield "throughout", "'throughout' and 'within' cannot be combined: choose one"
        if "for" in values and "within" not in values:
            yield "for", "'for' requires 'within': say how long to wait"


class Guard(Declaration, Generic[AnyStep]):
    """Probed from the first phase to the last; more than `tolerate` failures in a row abort the run."""

    name: Name
    probe: AnyStep
    expect: Expect
    every: PositiveDuration = 1.0
    tolerate: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] = 0
    timeout: PositiveDuration = PROBE_SECONDS

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from _check_expectations(step, values.get("probe"), values.get("expect"))
        yield from find_cut_short_steps(values, (("probe",),), "guard")


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
        if isinstance(phases, list) and phases and all(map(_is_left_out, phases)):
            yield BrokenRule(
                ("phases", 0, "when"), "'when' of every phase is false: nothing is left to carry out"
            )


def _is_left_out(phase: Any) -> bool:
    return isinstance(phase, Mapping) and phase.get("when") is False


class Metadata(Declaration):
    name: Annotated[
        str,
        AfterValidator(_check_dns_label),
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
