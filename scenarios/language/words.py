"""The words of the scenario language, `coordinator/v1`.

Structure, defaults and JSON Schema all come from these declarations. They are generic over the step,
for its words are the drivers' (see `scenario_model`).
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
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
from scenarios.domain.json_queries import compile_query
from scenarios.domain.matchers import format_value
from scenarios.domain.patterns import compile_pattern
from scenarios.domain.results import find_misfits
from scenarios.domain.templates import has_secret
from scenarios.language.timing import (
    ACTION_SECONDS,
    PROBE_SECONDS,
    RUN_SECONDS,
    find_cut_short_steps,
    find_overlong_phases,
)
from scenarios.language.variables import Variable

MAX_STEPS = 1_000
STEP_WORDS = frozenset({"probe", "do", "undo"})

AnyStep = TypeVar("AnyStep")


def _check_dns_label(text: str) -> str:
    if re.fullmatch(DNS_LABEL_PATTERN.strip("^$"), text):
        return text
    rule = "a-z, 0-9 and '-' inside, at most 63 characters"
    raise ValueError(f"{text[:80]!r} is not a DNS label: {rule}, as in 'exchange-latency'")


def _check_pattern(text: str) -> str:
    compile_pattern(text)
    return text


def _build_matchers(wanted: Any) -> Any:
    """A plain value is `equals`."""
    return wanted if isinstance(wanted, dict) else {"equals": wanted}


class Matchers(Declaration):
    """Several in one mapping must all hold. `matches` is a regular expression (RE2), searched.

    `all`, `any` and `count` look at the values of a list, or at every series of a `prometheus` answer; of
    no values, neither `all` nor `any` holds. `contains` looks for a part of a text, a value of a list or
    a key of a mapping.
    """

    equals: Any = None
    not_: Any = Field(ABSENT, alias="not")
    in_: Annotated[list[Any], Field(min_length=1)] = Field(default_factory=list, alias="in")
    not_in: Annotated[list[Any], Field(min_length=1)] = Field(default_factory=list)
    above: float = Field(ABSENT)
    at_least: float = Field(ABSENT)
    below: float = Field(ABSENT)
    at_most: float = Field(ABSENT)
    between: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default_factory=list)
    matches: Annotated[str, AfterValidator(_check_pattern)] = Field(ABSENT)
    contains: Any = None
    exists: bool = Field(ABSENT)
    all_: Annotated["Matchers", BeforeValidator(_build_matchers)] = Field(ABSENT, alias="all")
    any_: Annotated["Matchers", BeforeValidator(_build_matchers)] = Field(ABSENT, alias="any")
    count: Annotated["Matchers", BeforeValidator(_build_matchers)] = Field(ABSENT)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not given:
            yield "", "the matcher is empty: write a value, or a matcher such as 'above: 3'"
        limits = given.get("between")
        if isinstance(limits, list) and [type(limit) in {int, float} for limit in limits] == [True, True]:
            low, high = limits
            if low > high:
                yield "between", f"{format_value(limits)} is no range: the lower limit comes first"


Matcher = Annotated[Matchers, BeforeValidator(_build_matchers)]


class JsonPaths(Declaration, extra="allow"):
    """JSONPaths (RFC 9535) into the returned JSON, and what stands there.

    A singular query, as `$.status` or `$.nodes[0].name`, gives its value. Any other, as `$.nodes[*].name`,
    gives a list, also of one value and of none.
    """

    __pydantic_extra__: dict[str, Matcher] = Field(init=False)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not given:
            yield "", "'json' is empty: write a JSONPath and what stands there, as in '$.status: ok'"
        for path in given:
            try:
                compile_query(path)
            except ValueError as error:
                yield path, str(error)


class Expect(Declaration, extra="allow"):
    """Fields that the probe's driver returns (see [drivers](#drivers)) and what they must be; `json` maps
    JSONPath, `headers` names.
    """

    __pydantic_extra__: dict[str, Matcher] = Field(init=False)
    json_paths: JsonPaths = Field(ABSENT, alias="json")
    headers: Annotated[dict[str, Matcher], Field(min_length=1)] = Field(default_factory=dict)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not given:
            yield "", "'expect' is empty: name a field and its value, as in 'status: 200'"


class StepWords(Declaration):
    """One driver's name, with its arguments under it. Of a step that is `sensitive`, nothing of the answer
    is kept, only whether it held.
    """

    sensitive: bool = False

    @classmethod
    def drivers(cls) -> dict[str, type[BaseModel]]:
        """The drivers' arguments, by the driver's name."""
        declared = ((field.alias, field.annotation) for field in cls.model_fields.values())
        return {name: arguments for name, arguments in declared if name and isinstance(arguments, type)}

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        drivers = sorted(cls.drivers())
        named = [name for name in given if name in drivers]
        if not given.keys() - {"sensitive"}:
            yield "", f"the step names no driver: one of {', '.join(drivers)}"
        for extra in named[1:]:
            yield (
                extra,
                f"{extra!r} is a second driver in this step, beside {named[0]!r}: a step has exactly one",
            )

    @model_validator(mode="wrap")
    @classmethod
    def _excuse_secrets(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """A step that does not fit only where a secret will stand passes: it is checked when it runs."""
        try:
            return handler(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if all(has_secret(one["input"]) and one["type"] != RELATION for one in found):
                return cls.model_construct()
            raise


def _check_expectations(step: Any, probe: Any, expect: Any) -> Iterator[BrokenRule]:
    """What is expected and can never come; `step` declares the drivers, of which `probe` names one."""
    drivers: Mapping[str, type[BaseModel]] = step.drivers()
    named = [name for name in probe if name in drivers] if isinstance(probe, dict) else []
    driver = named[0] if len(named) == 1 else ""
    for one in find_misfits(expect, drivers.get(driver), driver) if isinstance(expect, dict) else ():
        kind = MISFIT if one.is_in_schema else RELATION
        yield BrokenRule(("expect", *one.path), one.rule, one.hint, kind=kind)


class Undone(Declaration, Generic[AnyStep]):
    """What shows that a fault is gone. It is looked at after the undo until it holds, at most for the
    action's `timeout` from the undo's beginning on. A fault of which it does not hold is outstanding, and
    undone again.
    """

    probe: AnyStep
    expect: Expect

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from _check_expectations(step, given.get("probe"), given.get("expect"))


class Action(Declaration, Generic[AnyStep]):
    """Done in its turn, or side by side with the others `at` an offset from the phase's start.

    One with an `undo` is a fault: it is taken back when its phase ends, or with `until: run` the run.
    One whose answer is not what `expect` says has failed, as a validation does. Where `expect` names
    `status` (`http`), `exit_code` (`command`) or `connected` (`tcp`), it decides alone whether the action
    was done, unless the step says it by `ok`. One that was not done, or not answered, is errored.
    Without a `timeout`, a step's own longer time is what it gets.

    A fault that was not answered may still arrive after its undo. It stays in the ledger, and its services
    are held, for LATE_INJECTION_SECONDS (30s) or its own `timeout`, whichever is longer; then it is undone
    again. The run does not wait for that.
    """

    name: Name
    do: AnyStep
    undo: AnyStep = Field(ABSENT)
    undone: Undone[AnyStep] = Field(ABSENT)
    expect: Expect = Field(ABSENT)
    at: Duration = Field(ABSENT)
    until: Literal["phase", "run"] = "phase"
    timeout: PositiveDuration = ACTION_SECONDS

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        yield from _check_expectations(
            cls.model_fields["do"].annotation, given.get("do"), given.get("expect")
        )
        yield from find_cut_short_steps(given, ("do", "undo"), "action")
        if "undone" in given and "undo" not in given:
            yield "undone", "'undone' goes only with 'undo': say how the fault is taken back"


class Validation(Declaration, Generic[AnyStep]):
    """Begins when the actions without `at` are done. It looks once, or polls: it must begin to hold
    `within` a time, and hold `for` a time without a break, or it must hold `throughout` the phase.
    Without a `timeout`, a probe's own longer time is what it gets.
    """

    name: Name
    probe: AnyStep
    expect: Expect
    within: PositiveDuration = Field(ABSENT)
    for_: PositiveDuration = Field(ABSENT, alias="for")
    every: PositiveDuration = 1.0
    throughout: bool = False
    timeout: PositiveDuration = PROBE_SECONDS

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from _check_expectations(step, given.get("probe"), given.get("expect"))
        yield from find_cut_short_steps(given, ("probe",), "validation")
        if "within" in given and given.get("throughout", False) is not False:
            yield "throughout", "'throughout' and 'within' exclude each other: a validation has at most one"
        if "for" in given and "within" not in given:
            yield "for", "'for' goes only with 'within': say how long to wait for it"


class Guard(Declaration, Generic[AnyStep]):
    """Watched from the first phase to the last; more than `tolerate` failures in a row abort the run."""

    name: Name
    probe: AnyStep
    expect: Expect
    every: PositiveDuration = 1.0
    tolerate: Annotated[int, Field(ge=0, le=1_000_000), WHOLE] = 0
    timeout: PositiveDuration = PROBE_SECONDS

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[BrokenRule]:
        step = cls.model_fields["probe"].annotation
        yield from _check_expectations(step, given.get("probe"), given.get("expect"))
        yield from find_cut_short_steps(given, ("probe",), "guard")


class Phase(Declaration, Generic[AnyStep]):
    """Ends when its `hold` is over and its validations have ended. After one that failed, later phases
    are skipped, unless `on_failure` is `continue`.
    """

    name: Name
    description: Text = ""
    hold: Duration = 0.0
    actions: list[Action[AnyStep]] = Field(default_factory=list)
    validations: list[Validation[AnyStep]] = Field(default_factory=list)
    on_failure: Literal["stop", "continue"] = "stop"


class Spec(Declaration, Generic[AnyStep]):
    """`timeout` is the whole run's, without its rollback; a run that was interrupted, and has nothing
    left injected, is begun again up to `retry_interrupted` times. Phases that need longer at least
    than `timeout` are refused.
    """

    timeout: PositiveDuration = RUN_SECONDS
    retry_interrupted: Annotated[int, Field(ge=0, le=100), WHOLE] = 0
    variables: dict[str, Variable] = Field(default_factory=dict)
    guards: list[Guard[AnyStep]] = Field(default_factory=list)
    phases: Annotated[list[Phase[AnyStep]], Field(min_length=1)]

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[BrokenRule]:
        yield from find_overlong_phases(given)


class Metadata(Declaration):
    name: Annotated[
        str,
        AfterValidator(_check_dns_label),
        WithJsonSchema({"type": "string", "pattern": DNS_LABEL_PATTERN}),
    ]
    title: Name = ""
    description: Text = ""
    tags: list[Name] = Field(default_factory=list)


class Scenario(Declaration, Generic[AnyStep]):
    api_version: Literal["coordinator/v1"] = Field(alias="apiVersion")
    kind: Literal["Scenario"]
    metadata: Metadata
    spec: Spec[AnyStep]


def scenario_model(drivers: Mapping[str, type[BaseModel]]) -> type[Scenario[Any]]:
    """The language with these drivers' arguments, by driver name."""
    return _scenario_model(tuple(sorted(drivers.items())))


def _with_sensitive(arguments: type[BaseModel]) -> type[BaseModel]:
    """`sensitive` may stand beside the driver or among its arguments: of these it is none."""
    if "sensitive" in arguments.model_fields:
        return arguments
    own = create_model(arguments.__name__, __base__=arguments, sensitive=(bool, False))
    own.__doc__ = arguments.__doc__
    return own


# Building the models takes some 10 ms: as much as reading a document of hundreds of steps.
@lru_cache(maxsize=8)
def _scenario_model(drivers: tuple[tuple[str, type[BaseModel]], ...]) -> type[Scenario[Any]]:
    # The fields' own names are neutral: a driver may be called `copy` or `my-driver`. None of them
    # is required, yet a null is refused: a default is not validated.
    words: dict[str, Any] = {
        f"driver_{index}": (_with_sensitive(arguments), Field(ABSENT, alias=name))
        for index, (name, arguments) in enumerate(drivers)
    }
    step = create_model("Step", __base__=StepWords, __doc__=StepWords.__doc__, **words)
    return Scenario.__class_getitem__(step)  # type: ignore[return-value]
