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
    RELATION,
    WHOLE,
    Declaration,
    Duration,
    Name,
    PositiveDuration,
    Text,
)
from scenarios.domain.expectations import shown
from scenarios.domain.patterns import compiled_path, compiled_pattern
from scenarios.domain.templates import awaits_a_secret
from scenarios.domain.variables import Variable

MOST_STEPS = 1_000
STEP_WORDS = frozenset({"probe", "do", "undo"})

AnyStep = TypeVar("AnyStep")


def _dns_label(text: str) -> str:
    if re.fullmatch(DNS_LABEL_PATTERN.strip("^$"), text):
        return text
    rule = "a-z, 0-9 and '-' inside, at most 63 characters"
    raise ValueError(f"{text[:80]!r} is not a DNS label: {rule}, as in 'exchange-latency'")


def _pattern(text: str) -> str:
    compiled_pattern(text)
    return text


def _as_matchers(wanted: Any) -> Any:
    """A plain value is `equals`."""
    return wanted if isinstance(wanted, dict) else {"equals": wanted}


class Matchers(Declaration):
    """Several in one mapping must all hold. `matches` is a regular expression (RE2), searched."""

    equals: Any = None
    not_: Any = Field(ABSENT, alias="not")
    in_: list[Any] = Field(default_factory=list, alias="in")
    not_in: list[Any] = Field(default_factory=list)
    above: float = Field(ABSENT)
    at_least: float = Field(ABSENT)
    below: float = Field(ABSENT)
    at_most: float = Field(ABSENT)
    between: Annotated[list[float], Field(min_length=2, max_length=2)] = Field(default_factory=list)
    matches: Annotated[str, AfterValidator(_pattern)] = Field(ABSENT)
    contains: Any = None
    exists: bool = Field(ABSENT)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not given:
            yield "", "the matcher is empty: write a value, or a matcher such as 'above: 3'"
        limits = given.get("between")
        if isinstance(limits, list) and [type(limit) in {int, float} for limit in limits] == [True, True]:
            low, high = limits
            if low > high:
                yield "between", f"{shown(limits)} is no range: the lower limit comes first"


Matcher = Annotated[Matchers, BeforeValidator(_as_matchers)]


class JsonPaths(Declaration, extra="allow"):
    """JSONPaths (RFC 9535) into the returned JSON, and what stands there."""

    __pydantic_extra__: dict[str, Matcher] = Field(init=False)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for path in given:
            try:
                compiled_path(path)
            except ValueError as error:
                yield path, str(error)


class Expect(Declaration, extra="allow"):
    """Fields that the probe returned and what they must be; `json` maps JSONPath, `headers` names."""

    __pydantic_extra__: dict[str, Matcher] = Field(init=False)
    json_paths: JsonPaths = Field(ABSENT, alias="json")
    headers: dict[str, Matcher] = Field(default_factory=dict)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not given:
            yield "", "'expect' is empty: name a field and its value, as in 'status: 200'"


class StepWords(Declaration):
    """Exactly one key, the driver's name, with its arguments under it."""

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        drivers = sorted(field.alias or name for name, field in cls.model_fields.items())
        named = [name for name in given if name in drivers]
        if not given:
            yield "", f"the step names no driver: one of {', '.join(drivers)}"
        for extra in named[1:]:
            yield (
                extra,
                f"{extra!r} is a second driver in this step, beside {named[0]!r}: a step has exactly one",
            )

    @model_validator(mode="wrap")
    @classmethod
    def _without_what_awaits_secrets(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        """A step that does not fit only where a secret will stand passes: it is checked when it runs."""
        try:
            return handler(data)
        except ValidationError as error:
            found = error.errors(include_url=False)
            if all(awaits_a_secret(one["input"]) and one["type"] != RELATION for one in found):
                return cls.model_construct()
            raise


class Action(Declaration, Generic[AnyStep]):
    """Done in its turn, or side by side with the others `at` an offset from the phase's start.

    One with an `undo` is a fault: it is taken back when its phase ends, or with `until: run` the run.
    One whose answer is not what `expect` says has failed, as a validation does. Where `expect` names
    `status` (`http`), `exit_code` (`command`) or `connected` (`tcp`), it decides alone whether the action
    was done, unless the step says it by `ok`. One that was not done, or not answered, is errored.
    """

    name: Name
    do: AnyStep
    undo: AnyStep = Field(ABSENT)
    expect: Expect = Field(ABSENT)
    at: Duration = Field(ABSENT)
    until: Literal["phase", "run"] = "phase"
    timeout: PositiveDuration = 30.0


class Validation(Declaration, Generic[AnyStep]):
    """Begins when the actions without `at` are done. It looks once, or polls: it must begin to hold
    `within` a time, and hold `for` a time without a break, or it must hold `throughout` the phase.
    """

    name: Name
    probe: AnyStep
    expect: Expect
    within: PositiveDuration = Field(ABSENT)
    for_: PositiveDuration = Field(ABSENT, alias="for")
    every: PositiveDuration = 1.0
    throughout: bool = False
    timeout: PositiveDuration = 10.0

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
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
    timeout: PositiveDuration = 10.0


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
    left injected, is begun again up to `retry_interrupted` times.
    """

    timeout: PositiveDuration = 3600.0
    retry_interrupted: Annotated[int, Field(ge=0, le=100), WHOLE] = 0
    variables: dict[str, Variable] = Field(default_factory=dict)
    guards: list[Guard[AnyStep]] = Field(default_factory=list)
    phases: Annotated[list[Phase[AnyStep]], Field(min_length=1)]


class Metadata(Declaration):
    name: Annotated[
        str, AfterValidator(_dns_label), WithJsonSchema({"type": "string", "pattern": DNS_LABEL_PATTERN})
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


# Building the models takes some 10 ms: as much as reading a document of hundreds of steps.
@lru_cache(maxsize=8)
def _scenario_model(drivers: tuple[tuple[str, type[BaseModel]], ...]) -> type[Scenario[Any]]:
    # The fields' own names are neutral: a driver may be called `copy` or `my-driver`. None of them
    # is required, yet a null is refused: a default is not validated.
    words: dict[str, Any] = {
        f"driver_{index}": (arguments, Field(ABSENT, alias=name))
        for index, (name, arguments) in enumerate(drivers)
    }
    step = create_model("Step", __base__=StepWords, __doc__=StepWords.__doc__, **words)
    return Scenario.__class_getitem__(step)  # type: ignore[return-value]
