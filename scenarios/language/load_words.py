"""The declarations of loads, and of the validations that judge them."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from scenarios.domain.declarations import (
    ABSENT,
    DURATION_SCHEMA,
    BrokenRule,
    Declaration,
    Name,
    PositiveDuration,
)
from scenarios.domain.durations import format_duration
from scenarios.domain.load_values import (
    MAX_RATE,
    MULTIPLE_PATTERN,
    PERCENT_PATTERN,
    RATE_PATTERN,
    Threshold,
    parse_rate,
    parse_threshold,
)
from scenarios.domain.plan import WINDOW_SECONDS
from scenarios.domain.ranges import Range, predict_result
from scenarios.domain.templates import VARIABLE_NAME
from scenarios.language.each_words import NO_EACH, Each, find_each_problems
from scenarios.language.timing import read_seconds

AnyStep = TypeVar("AnyStep")
MAX_LOADS = 10
MAX_OPEN_REQUESTS = 10_000
MAX_CHOICES = 1_000
LOAD_SECONDS = 5.0
# A load cannot send these: they do not ask a server, or take effect on a host.
REFUSED_DRIVERS = frozenset({"chaostoolkit", "command", "container", "host", "proxy", "signal", "wait"})
_REFUSED_ARGUMENTS = {
    "timeout": "the load's own 'timeout' limits each request: write it beside 'request'",
    "cookies": "a load keeps no cookies: each of its requests stands for itself",
    "follow_redirects": "a load does not follow redirects: name the final address",
}
_SCALAR = {"type": ["string", "number", "boolean"]}
_MULTIPLE = {"type": "string", "pattern": MULTIPLE_PATTERN, "examples": ["1.5x"]}
_SHARE = [
    {"type": "string", "pattern": PERCENT_PATTERN, "examples": ["0.1%"]},
    {"type": "number", "minimum": 0, "maximum": 1},
]
_RATE = {"type": "string", "pattern": RATE_PATTERN, "examples": ["50/s"]}


def _explained(parse: Callable[[object], Any]) -> Callable[[object], Any]:
    """The function as a validator whose own message is reported."""

    def validate(value: object) -> Any:
        try:
            return parse(value)
        except ValueError as error:
            raise PydanticCustomError("value", "{sentence}", {"sentence": str(error)}) from error

    return validate


def _check_rate(rate: float) -> float:
    if not 0 < rate <= MAX_RATE:
        raise ValueError(
            f"'{rate:g}/s' is not allowed: a load sends more than 0/s, and at most {MAX_RATE:g}/s"
        )
    return rate


def _check_choices(choices: dict[str, list[Any]]) -> dict[str, list[Any]]:
    for name, values in choices.items():
        if not re.fullmatch(VARIABLE_NAME, name):
            rule = "use letters, digits, '_' and '-', beginning with a letter"
            raise ValueError(f"{name[:80]!r} is not a name to choose a value for: {rule}")
        for value in values:
            if not isinstance(value, str | int | float):
                raise ValueError(  # noqa: TRY004 - pydantic reports ValueErrors
                    f"{name!r} lists {value!r}: choose from text, numbers, true and false"
                )
    return choices


def _parse_limit(figure: str) -> BeforeValidator:
    return BeforeValidator(_explained(partial(parse_threshold, figure=figure)))


# What a figure is compared with; a multiple is one of its baseline.
Share = Annotated[Threshold, _parse_limit("error_rate"), WithJsonSchema({"anyOf": [*_SHARE, _MULTIPLE]})]
Latency = Annotated[Threshold, _parse_limit("p95"), WithJsonSchema({"anyOf": [DURATION_SCHEMA, _MULTIPLE]})]
RateLimit = Annotated[Threshold, _parse_limit("rate"), WithJsonSchema({"anyOf": [_RATE, _MULTIPLE]})]
Rate = Annotated[
    float, BeforeValidator(_explained(parse_rate)), AfterValidator(_check_rate), WithJsonSchema(_RATE)
]


class _Limits(Declaration):
    subject: ClassVar[str] = "a latency"
    figure: ClassVar[str] = "p95"
    numbers: ClassVar[Range] = Range(low=0)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values:
            yield "", "the limit is empty: write a matcher such as 'at_most'"
        for matcher, value in values.items():
            effect = _predict(matcher, value, cls.figure, cls.numbers)
            if effect:
                verb = "always holds" if effect == "always" else "can never hold"
                yield matcher, f"'{matcher}: {value}' {verb} here: {cls.subject} is {cls.numbers}"


def _predict(matcher: str, value: Any, figure: str, numbers: Range) -> str:
    try:
        threshold = parse_threshold(value, figure)
    except ValueError:
        return ""  # its own declaration reports it
    is_known = not threshold.is_multiple and matcher in {"at_most", "at_least", "below", "above"}
    return predict_result(matcher, threshold.value, numbers) if is_known else ""


class ShareLimits(_Limits):
    """Shares of all requests, such as `0.1%` or `0.001`, or multiples of the baseline."""

    subject: ClassVar[str] = "an error rate"
    figure: ClassVar[str] = "error_rate"
    numbers: ClassVar[Range] = Range(low=0, high=1)
    at_most: Share = Field(ABSENT)
    at_least: Share = Field(ABSENT)
    below: Share = Field(ABSENT)
    above: Share = Field(ABSENT)


class LatencyLimits(_Limits):
    """Durations, or multiples of the baseline."""

    at_most: Latency = Field(ABSENT)
    at_least: Latency = Field(ABSENT)
    below: Latency = Field(ABSENT)
    above: Latency = Field(ABSENT)


class RateLimits(_Limits):
    """Requests per second, or multiples of the baseline."""

    subject: ClassVar[str] = "a rate"
    figure: ClassVar[str] = "rate"
    at_most: RateLimit = Field(ABSENT)
    at_least: RateLimit = Field(ABSENT)
    below: RateLimit = Field(ABSENT)
    above: RateLimit = Field(ABSENT)


class LoadExpect(Declaration):
    """Figures of a load, and their limits. `p50`, `p95`, `p99` and `max` are latencies of the requests that
    were answered, whatever the status, and of those that timed out. `error_rate` is the share of requests
    that failed, and `rate` the number that succeeded, per second. `1.5x` is a multiple of the same figure of
    the baseline: of the phases before the first one with actions.

    `p99` needs at least 100 requests, `p95` 20.
    """

    error_rate: ShareLimits = Field(ABSENT)
    p50: LatencyLimits = Field(ABSENT)
    p95: LatencyLimits = Field(ABSENT)
    p99: LatencyLimits = Field(ABSENT)
    max: LatencyLimits = Field(ABSENT)
    rate: RateLimits = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values:
            yield "", "'expect' is empty: name a figure and its limit, for example 'p95: {at_most: 300ms}'"


class LoadValidation(Declaration):
    """Judges a load. Without `within`, it is judged at the end of the phase, by all requests that were due in
    it. With `within`, the last 5 seconds are judged repeatedly: the expectation must begin to hold before
    that time is over and, with `for`, keep holding for that time.
    """

    name: Name
    load: Name
    expect: LoadExpect
    within: PositiveDuration = Field(ABSENT)
    for_: PositiveDuration = Field(ABSENT, alias="for")
    every: PositiveDuration = 1.0
    each: Each = NO_EACH
    when: bool = True

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        yield from find_each_problems(values)
        if "for" in values and "within" not in values:
            yield "for", "'for' requires 'within': say how long to wait"
        within = read_seconds(values["within"]) if "within" in values else None
        if within is not None and within < WINDOW_SECONDS:
            window = format_duration(WINDOW_SECONDS)
            yield "within", f"'within' must be at least {window} here: a load is judged by its last {window}"


class Load(Declaration, Generic[AnyStep]):
    """Requests at a constant rate, from the first phase to the last, whatever happens to them. The latency of
    each counts from the moment at which it was due. For each request, one value of every list of `choose` is
    drawn, and replaces `${NAME}` in `request`.

    A request fails if it gets no answer within `timeout`, or a status outside 200 to 399 (or outside `ok`).
    Each has its own `traceparent` header. If the machine cannot send at this rate, the run is errored.
    A load is an action on its services: they are held, and protected ones need approval.
    """

    name: Name
    rate: Rate
    request: AnyStep
    choose: Annotated[
        dict[str, Annotated[list[Any], Field(min_length=1, max_length=MAX_CHOICES)]],
        AfterValidator(_check_choices),
        WithJsonSchema(
            {
                "type": "object",
                "additionalProperties": {"type": "array", "minItems": 1, "items": _SCALAR},
            }
        ),
    ] = {}
    timeout: PositiveDuration = LOAD_SECONDS
    each: Each = NO_EACH

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[BrokenRule]:
        yield from find_each_problems(values)
        request = values.get("request")
        for driver in request if isinstance(request, dict) else ():
            if driver in REFUSED_DRIVERS:
                rule = f"a load cannot use {driver!r}: it sends requests to a server, as 'http' does"
                yield BrokenRule(("request", driver), rule)
            elif isinstance(request, dict) and isinstance(arguments := request[driver], dict):
                for word in _REFUSED_ARGUMENTS.keys() & arguments.keys():
                    yield BrokenRule(("request", driver, word), _REFUSED_ARGUMENTS[word])
        yield from _find_open_requests(values)


def _find_open_requests(values: Mapping[str, Any]) -> Iterator[BrokenRule]:
    """If the target hangs, requests that wait for their timeout must still have connections."""
    timeout = read_seconds(values["timeout"]) if "timeout" in values else LOAD_SECONDS
    rate = read_rate(values.get("rate"))
    if timeout is None or rate is None or rate * timeout <= MAX_OPEN_REQUESTS:
        return
    open_requests = f"{round(rate * timeout):,}"
    rule = (
        f"at {rate:g}/s with a timeout of {format_duration(timeout)}, {open_requests} requests may wait at "
        f"once; at most {MAX_OPEN_REQUESTS:,} may"
    )
    yield BrokenRule(("rate",), rule, "choose a shorter 'timeout' or a lower 'rate'")


def read_rate(value: Any) -> float | None:
    try:
        return parse_rate(value)
    except ValueError:
        return None
