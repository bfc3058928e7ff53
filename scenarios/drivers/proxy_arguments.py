"""The words of `fault: {proxy: …}`, and what the control API of a fault proxy takes instead."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration, Share
from scenarios.domain.durations import format_duration, parse_duration
from scenarios.domain.results import ALWAYS, Returned
from scenarios.domain.sizes import (
    RATE_PATTERN,
    SIZE_PATTERN,
    parse_rate,
    parse_size,
)
from scenarios.drivers.http_arguments import check_headers, check_method, check_path

# As the proxy's own limit (injector/faults.py).
MAX_SECONDS = 3600.0
_KINDS = (
    "latency",
    "bandwidth",
    "refuse",
    "hang",
    "reset",
    "cut",
    "slow_close",
    "corrupt",
    "http",
)
_HTTP_EFFECTS = ("status", "delay", "set_headers", "body", "truncate")
_SCALARS = {"type": ["string", "number", "boolean"]}


def _check_seconds(seconds: float) -> float:
    if seconds > MAX_SECONDS:
        longest = format_duration(MAX_SECONDS)
        raise ValueError(f"'{format_duration(seconds)}' is too long: the proxy takes at most {longest}")
    return seconds


def _check_request_path(text: str) -> str:
    if "*" in text.removesuffix("*"):
        raise ValueError(
            f"{text[:80]!r} has a '*' before its end: only a prefix can be given, as in '/api/*'"
        )
    return check_path(text)


def _use_any_of(schema: dict[str, Any]) -> None:
    # The members exclude each other by type; the JSON Schema of the language knows `anyOf`.
    schema["anyOf"] = schema.pop("oneOf")


def _choose_member(value: Any) -> str:
    return "mapping" if isinstance(value, Mapping | After) else "flag"


Seconds = Annotated[PositiveDuration, AfterValidator(_check_seconds)]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": "string", "pattern": SIZE_PATTERN, "examples": ["512B", "4KiB"]}),
]
Rate = Annotated[
    int,
    BeforeValidator(parse_rate),
    WithJsonSchema({"type": "string", "pattern": RATE_PATTERN, "examples": ["20KiB/s"]}),
]
Headers = Annotated[
    dict[str, Any],
    Field(min_length=1),
    AfterValidator(check_headers),
    WithJsonSchema({"type": "object", "minProperties": 1, "additionalProperties": _SCALARS}),
]


class ProxyReturned(Returned):
    touched: int = Field(
        json_schema_extra=ALWAYS,
        ge=0,
        description="How many connections the current faults of the listener have affected, or requests "
        "for faults of `http`.",
    )
    faults: int = Field(json_schema_extra=ALWAYS, ge=0, description="How many faults the listener has.")
    connections: int = Field(
        json_schema_extra=ALWAYS, ge=0, description="How many connections of the listener are open."
    )


class ProxyLookArguments(Declaration):
    """`service`, which is registered with its fault proxy."""

    Returns: ClassVar[type[Returned]] = ProxyReturned
    service: Annotated[str, Field(min_length=1)]


class After(Declaration):
    """After how many bytes of a connection."""

    after: Size


class HttpFault(Declaration):
    """What happens to which requests. `method`, `path` and `headers` choose them; all given ones must match.

    A `path` that ends with `*` is a prefix. With `status` or `body`, the proxy itself responds; without them,
    the request goes on to the service. `delay` comes first, `set_headers` changes the response, and
    `truncate` closes the connection after this many bytes of its body. `first` and `share` limit the number
    of requests.
    """

    method: Annotated[str, AfterValidator(check_method)] = Field(ABSENT)
    path: Annotated[str, AfterValidator(_check_request_path)] = Field(ABSENT)
    headers: Headers = Field(ABSENT)
    status: Annotated[int, Field(ge=200, le=599), WHOLE] = Field(ABSENT)
    delay: Seconds = Field(ABSENT)
    set_headers: Headers = Field(ABSENT)
    body: Annotated[str, Field(max_length=32_000)] = Field(ABSENT)
    truncate: Size = Field(ABSENT)
    first: Annotated[int, Field(ge=1, le=2**31 - 1), WHOLE] = Field(ABSENT)
    share: Share = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not any(word in values for word in _HTTP_EFFECTS):
            yield "", f"the fault has no effect: give at least one of {_list(_HTTP_EFFECTS)}"
        if "first" in values and "share" in values:
            yield "share", "'share' and 'first' cannot be combined: limit the requests in one way"

    def to_wire(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class ProxyArguments(Declaration):
    """`service` and at least one kind of fault. Several kinds can be combined.

    `direction` says which data is concerned: `down` is what the client receives. `share` is the share of
    connections that have the fault, or of requests for `http`; the same `seed` chooses the same ones.
    """

    service: Annotated[str, Field(min_length=1)]
    latency: Seconds = Field(ABSENT)
    jitter: Seconds = Field(ABSENT)
    bandwidth: Rate = Field(ABSENT)
    refuse: bool = False
    hang: bool = False
    reset: Annotated[After, Tag("mapping")] | Annotated[bool, Tag("flag")] = Field(
        False, discriminator=Discriminator(_choose_member), json_schema_extra=_use_any_of
    )
    cut: After = Field(ABSENT)
    slow_close: Seconds = Field(ABSENT)
    corrupt: Share = Field(ABSENT)
    http: HttpFault = Field(ABSENT)
    direction: Literal["up", "down", "both"] = "down"
    share: Share = 1.0
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), WHOLE] = 0

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if all(values.get(kind, False) is False for kind in _KINDS):
            yield "", f"the fault has no effect: give at least one of {_list(_KINDS)}"
        if "jitter" in values:
            yield from _check_jitter(values)
        http = values.get("http")
        if "share" in values and isinstance(http, Mapping) and "first" in http:
            others = [kind for kind in _KINDS if kind != "http" and kind in values]
            if not others:
                yield "share", "'share' and 'first' cannot be combined: limit the requests in one way"

    def to_wire(self) -> dict[str, Any]:
        """The fault for the control API: seconds, bytes and shares as numbers."""
        kinds = {"latency", "jitter", "bandwidth", "refuse", "hang", "slow_close", "corrupt"}
        wire = self.model_dump(include=kinds | {"direction", "share", "seed"}, exclude_unset=True)
        if isinstance(self.reset, After):
            wire["reset_after"] = self.reset.after
        elif self.reset:
            wire["reset"] = True
        if self.cut is not None:
            wire["cut_after"] = self.cut.after
        if self.http is not None:
            wire["http"] = self.http.to_wire()
        return wire


def _check_jitter(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if "latency" not in values:
        yield "jitter", "'jitter' needs 'latency', which it makes shorter or longer"
        return
    try:
        latency, jitter = parse_duration(values["latency"]), parse_duration(values["jitter"])
    except ValueError:
        return  # reported where they stand, or filled in later
    if jitter > latency:
        yield "jitter", f"{values['jitter']!r} is more than 'latency': data cannot be early"


def _list(words: tuple[str, ...]) -> str:
    return ", ".join(map(repr, words))
