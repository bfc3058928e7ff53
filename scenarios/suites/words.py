"""The declarations of suites: structure, defaults and JSON Schema come from them.

They are generic over the step, as those of scenarios are.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ModelWrapValidatorHandler, WithJsonSchema

from scenarios.domain.declarations import (
    ABSENT,
    DNS_LABEL_PATTERN,
    WHOLE,
    BrokenRule,
    Declaration,
    Name,
    PositiveDuration,
    check_dns_label,
)
from scenarios.domain.durations import format_duration, parse_duration
from scenarios.domain.plan import MIN_SAMPLES
from scenarios.language.check_words import Undone
from scenarios.language.load_words import Load, LoadExpect, read_rate
from scenarios.language.timing import list_mappings, read_seconds
from scenarios.language.words import Metadata, scenario_model
from scenarios.suites.faults import FAULT_BY_NAME, FAULTS, KINDS

AnyStep = TypeVar("AnyStep")
MAX_DEPENDENCIES = 200
RECOVERY_SECONDS = 30.0
FRESH_SECONDS = 30 * 86400.0
HOLD_SECONDS = 5.0
LOOK_SECONDS = 0.25
LOOK_TIMEOUT_SECONDS = 10.0
_DAY_SECONDS = 86400.0
_SCALAR = {"type": ["string", "number", "boolean"]}

Label = Annotated[
    str, AfterValidator(check_dns_label), WithJsonSchema({"type": "string", "pattern": DNS_LABEL_PATTERN})
]
if TYPE_CHECKING:
    FaultName = str
else:
    FaultName = Literal[tuple(fault.name for fault in FAULTS)]


def _check_scalars(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors
                f"the value of {name!r} is {value!r}: write text, a number, true or false"
            )
    return values


class Healthy(Undone[AnyStep], Generic[AnyStep]):
    """What users notice: a probe and what it must return. In `expect`, `elapsed` may be a duration, such as
    `{below: 500ms}`.
    """

    every: PositiveDuration = LOOK_SECONDS
    timeout: PositiveDuration = LOOK_TIMEOUT_SECONDS

    @classmethod
    def _checked(cls, data: Any, handler: ModelWrapValidatorHandler[Any]) -> Any:
        return super()._checked(read_elapsed(data), handler)


def read_elapsed(healthy: Any) -> Any:
    """The words of `healthy`, with the durations under `expect.elapsed` as seconds."""
    expect = healthy.get("expect") if isinstance(healthy, Mapping) else None
    matchers = expect.get("elapsed") if isinstance(expect, Mapping) else None
    if (
        not isinstance(healthy, Mapping)
        or not isinstance(expect, Mapping)
        or not isinstance(matchers, Mapping)
    ):
        return healthy
    seconds = {name: _read_duration(value) for name, value in matchers.items()}
    return {**healthy, "expect": {**expect, "elapsed": seconds}}


def _read_duration(value: Any) -> Any:
    if isinstance(value, list):
        return [_read_duration(item) for item in value]
    try:
        return parse_duration(value) if isinstance(value, str) else value
    except ValueError:
        return value  # reported by the declaration of the matcher


class SuiteLoad(Load[AnyStep], Generic[AnyStep]):
    """A [load](scenario-language.md#a-load-specload) that goes on during each run. `expect` is what users do
    not notice: by default, at most 0.1% of the requests fail while a fault is there.
    """

    name: Name = "users"
    expect: LoadExpect = Field(ABSENT)


class Dependency(Declaration):
    """A service that the suite's service uses. With `must: survive`, users must notice nothing while it is
    broken. With `must: fail`, they may, if the service recovers afterwards.

    `host` is the registered host of its process, which listens on `port` (by default that of the service's
    address) or is the systemd `unit`. `folder` is on the disk that is filled. `faults` limits what is tried,
    and `variables` sets variables of the scenarios that have them.
    """

    service: Label
    kind: Literal["http", "grpc", "postgresql", "redis", "tcp"]
    must: Literal["survive", "fail"]
    host: Label = Field(ABSENT)
    port: Annotated[int, Field(ge=1, le=65535), WHOLE] = Field(ABSENT)
    unit: Name = Field(ABSENT)
    folder: Name = Field(ABSENT)
    faults: Annotated[list[FaultName], Field(min_length=1)] = Field(ABSENT)
    variables: Annotated[
        dict[str, Any],
        AfterValidator(_check_scalars),
        WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
    ] = Field(default_factory=dict)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        kind, faults = values.get("kind"), values.get("faults")
        seen: set[Any] = set()
        for index, name in enumerate(faults if isinstance(faults, list) else ()):
            fault = FAULT_BY_NAME.get(name) if isinstance(name, str) else None
            if fault is None:
                continue
            if name in seen:
                yield BrokenRule(("faults", index), f"{name!r} is listed twice", "remove one")
            seen.add(name)
            if isinstance(kind, str) and kind in KINDS and not fault.find_scenario(kind):
                kinds = ", ".join(fault.scenarios)
                yield BrokenRule(
                    ("faults", index),
                    f"{name!r} cannot be injected in {kind!r}, only in {kinds}",
                    "remove it",
                )


class SuiteSpec(Declaration, Generic[AnyStep]):
    """Each dependency is broken in each way, one after another. Each fault is there for `hold` at least.
    After it, the service must be healthy again within `recover_within`. What a run has proved is fresh for
    the time `fresh_for`. The services are those of the `environment`, if one is named.
    """

    service: Label
    healthy: Healthy[AnyStep]
    load: SuiteLoad[AnyStep] = Field(ABSENT)
    depends_on: Annotated[list[Dependency], Field(min_length=1, max_length=MAX_DEPENDENCIES)]
    recover_within: PositiveDuration = RECOVERY_SECONDS
    fresh_for: PositiveDuration = FRESH_SECONDS
    hold: PositiveDuration = HOLD_SECONDS
    environment: Label = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        first: dict[str, int] = {}
        for index, dependency in enumerate(list_mappings(values.get("depends_on"))):
            name = (dependency or {}).get("service")
            if isinstance(name, str) and name in first:
                rule = f"{name!r} is listed twice"
                yield BrokenRule(
                    ("depends_on", index, "service"),
                    rule,
                    beside=("depends_on", first[name], "service"),
                )
            elif isinstance(name, str):
                first[name] = index
        yield from _find_few_samples(values)


def _find_few_samples(values: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """Percentiles need as many requests as in validations of loads, during `hold`."""
    load = values.get("load")
    expect = load.get("expect") if isinstance(load, Mapping) else None
    rate = read_rate(load.get("rate")) if isinstance(load, Mapping) else None
    hold = read_seconds(values["hold"]) if "hold" in values else HOLD_SECONDS
    if rate is None or hold is None or not isinstance(expect, Mapping):
        return
    for figure in expect:
        needed, found = MIN_SAMPLES.get(figure, 1), round(rate * hold)
        if found < needed:
            rule = (
                f"{figure!r} needs at least {needed} requests, and 'hold' of {format_duration(hold)} at "
                f"{rate:g}/s has {found}"
            )
            yield BrokenRule(("load", "expect", figure), rule, "choose a longer 'hold' or a higher 'rate'")


class Suite(Declaration, Generic[AnyStep]):
    api_version: Literal["coordinator/v1"] = Field(alias="apiVersion")
    kind: Literal["Suite"]
    metadata: Metadata
    spec: SuiteSpec[AnyStep]


Models = Mapping[str, type[BaseModel]]


def suite_model(drivers: Models, faults: Models) -> type[Suite[Any]]:
    """Build the model of suites for the arguments of these drivers, by their name."""
    return _suite_model(tuple(sorted(drivers.items())), tuple(sorted(faults.items())))


# As for scenarios: building the models takes about 10 ms.
@lru_cache(maxsize=8)
def _suite_model(
    drivers: tuple[tuple[str, type[BaseModel]], ...], faults: tuple[tuple[str, type[BaseModel]], ...]
) -> type[Suite[Any]]:
    step = scenario_model(dict(drivers), dict(faults)).__pydantic_generic_metadata__["args"][0]
    return Suite.__class_getitem__(step)  # type: ignore[return-value]
