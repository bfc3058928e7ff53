"""One HTTP request to a service or an address."""

import contextlib
import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, WHOLE, Declaration, PositiveDuration
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone
from scenarios.domain.matchers import format_value
from scenarios.domain.outputs import read_json
from scenarios.domain.plan import origin
from scenarios.domain.results import Returned
from scenarios.domain.templates import format_scalar
from scenarios.drivers.http_exchange import MAX_BODY_BYTES, Answer, check_web_address, exchange
from scenarios.drivers.listening import require_listener
from scenarios.drivers.reach import explain_unreachable
from scenarios.drivers.redirects import READING_METHODS
from scenarios.ports import Platform

# A GET with one of these is taken for the method that it names by many frameworks.
_OVERRIDING_HEADERS = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_DONE = range(200, 300)
_REDIRECTS = range(300, 400)
# Those that `follow_redirects` follows. https://www.rfc-editor.org/rfc/rfc9110#name-redirection-3xx
_FOLLOWED = frozenset({301, 302, 303, 307, 308})
_GONE = frozenset({404, 410})
# Answered by what stands before the target, which may still be at work; 520 to 527 are Cloudflare's. Not 503:
# a target that is busy says so itself, and has done nothing.
_GATEWAY_STATUSES = frozenset({502, 504, *range(520, 528)})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCALAR = {"type": ["string", "number", "boolean"]}


def _check_path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text[:80]!r} is no path: it begins with '/', as in '/health'")
    return text


def _check_method(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,32}", text):
        raise ValueError(f"{text[:40]!r} is no HTTP method: letters only, as in 'POST'")
    return text.upper()


def _check_headers(headers: dict[str, Any]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no header name: letters, digits and '-'")
        if not _is_scalar(value) or not format_scalar(value).isprintable():
            raise ValueError(f"{format_value(value)} is no value for the header {name!r}: one printable line")
    return {name: format_scalar(value) for name, value in headers.items()}


def _check_query(query: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, given in query.items():
        for value in given if isinstance(given, list) else [given]:
            if not _is_scalar(value):
                raise ValueError(
                    f"{format_value(value)} is no value for {name!r} in a query: text, a number or a truth"
                )
            pairs.append((name, format_scalar(value)))
    return pairs


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


class HttpReturned(Returned):
    status: int = Field(ge=100, le=999, description="The status code.")
    headers: dict[str, str] = Field(description="By name; case does not matter.")
    body: str = Field(description="The body as text, at most 1 MiB of it.")
    json_body: Any = Field(alias="json", description="The body, where it is JSON and whole.")
    elapsed: float = Field(ge=0, description="Seconds to the end of the answer.")
    note: str = Field(description="That the body was cut, where it was.")


class HttpArguments(Declaration):
    """`service` and `path`, or `url`; at most one of `json` and `body`."""

    Returns: ClassVar[type[Returned]] = HttpReturned
    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    path: Annotated[str, AfterValidator(_check_path)] = "/"
    url: Annotated[str, AfterValidator(check_web_address)] = Field(ABSENT)
    method: Annotated[str, AfterValidator(_check_method)] = "GET"
    query: Annotated[
        dict[str, Any],
        AfterValidator(_check_query),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": [*_SCALAR["type"], "array"]}}),
    ] = {}
    headers: Annotated[
        dict[str, Any],
        AfterValidator(_check_headers),
        WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
    ] = {}
    json_body: Any = Field(ABSENT, alias="json")
    body: str = Field(ABSENT)
    timeout: PositiveDuration = 30.0
    follow_redirects: bool = False
    ok: Annotated[list[Annotated[int, Field(ge=100, le=599), WHOLE]], Field(min_length=1)] = Field(ABSENT)

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for word in ("url", "follow_redirects"):
            if given.get(word) and (sentence := explain_unreachable(repr(word))):
                yield word, sentence
        if "url" in given:
            for word in ("service", "path"):
                if word in given:
                    yield word, f"{word!r} and 'url' exclude each other: a url is the whole address"
        elif "service" not in given:
            yield "", "the step has no address: give 'service' and 'path', or 'url'"
        if "json" in given and "body" in given:
            yield "body", "'body' and 'json' exclude each other: a request has one body"
        if given.get("follow_redirects") is True and isinstance(ok := given.get("ok"), list):
            for status in sorted(_FOLLOWED.intersection(one for one in ok if type(one) in {int, float})):
                yield (
                    "ok",
                    f"{status} is followed by 'follow_redirects': name the status at the redirect's end",
                )


@dataclass(frozen=True, slots=True)
class _Target:
    """`name` is how it is spoken of; it never holds the password that a URL may."""

    url: str
    name: str


class Http:
    """As an action it is done when the status is 2xx, or one of `ok` where that is given; nothing else counts
    as done. A redirect counts only where `follow_redirects` follows it, by the status at its end. An undo
    by DELETE is also done when a DELETE is answered 404 or 410 and `ok` is not given: there is nothing to
    undo. A probe looks at any answer.
    """

    name: ClassVar[str] = "http"
    libraries: ClassVar[tuple[str, ...]] = ("aiohttp",)
    Arguments: ClassVar[type[HttpArguments]] = HttpArguments
    decided_by: ClassVar[str] = "status"

    def check(self, arguments: HttpArguments, platform: Platform) -> None:
        _find_target(arguments, platform)

    async def reach(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        target = _find_target(arguments, platform)
        await require_listener(target.name, target.url, platform)
        return {}

    def acts_when_probed(self, arguments: Mapping[str, Any]) -> bool:
        methods = [arguments.get("method", "GET"), *_find_overriding_methods(arguments.get("headers"))]
        return any(str(method).upper() not in READING_METHODS for method in methods)

    async def probe(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        return _build_fields(await _exchange(arguments, _find_target(arguments, platform), platform))

    def is_of_target(self, fields: Mapping[str, Any]) -> bool:
        return fields["status"] not in _GATEWAY_STATUSES

    async def act(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        return await self._act(arguments, platform, arguments.ok or _DONE)

    async def undo(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        gone = frozenset() if arguments.ok else _GONE
        fields = await self._act(arguments, platform, arguments.ok or _DONE, gone)
        return {**fields, "gone": True} if gone and fields["status"] in gone else fields

    async def _act(
        self,
        arguments: HttpArguments,
        platform: Platform,
        accepted: Container[int],
        gone: frozenset[int] = frozenset(),
    ) -> dict[str, Any]:
        """`gone`: the statuses that count as done, too, where they answer a DELETE."""
        target = _find_target(arguments, platform)
        answer = await _exchange(arguments, target, platform)
        # The answer to the GET that a redirect asked for says nothing of what was to be deleted.
        if answer.status in accepted or (answer.method == "DELETE" and answer.status in gone):
            return _build_fields(answer)
        asked = f"{arguments.method} {urlsplit(target.url).path or '/'}"
        failure = StepFailed if answer.status in _GATEWAY_STATUSES else StepNotDone
        raise failure(f"{target.name} answered {answer.status} to {asked}: {_explain_not_done(answer)}")


def _explain_not_done(answer: Answer) -> str:
    if answer.status not in _REDIRECTS:
        return format_value(answer.body)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    place = f" to {format_value(headers['location'])}" if "location" in headers else ""
    return f"a redirect{place} that was not followed: use 'follow_redirects: true', or its end as the address"


def _find_target(arguments: HttpArguments, platform: Platform) -> _Target:
    if arguments.service:
        address = platform.address_of(arguments.service).rstrip("/")
        return _Target(address + arguments.path, f"{arguments.service} at {origin(address)}")
    if sentence := explain_unreachable("'url'"):
        raise StepImpossible(sentence)
    return _Target(arguments.url, f"the target at {origin(arguments.url)}")


def _find_overriding_methods(headers: Any) -> list[Any]:
    """The methods that the headers ask for in the place of the request's own."""
    told = headers if isinstance(headers, Mapping) else {}
    return [value for name, value in told.items() if str(name).lower() in _OVERRIDING_HEADERS]


async def _exchange(arguments: HttpArguments, target: _Target, platform: Platform) -> Answer:
    request = _build_request(arguments)
    return await exchange(
        arguments.method,
        target.url,
        name=target.name,
        seconds=arguments.timeout,
        platform=platform,
        **request,
    )


def _build_request(arguments: HttpArguments) -> dict[str, Any]:
    headers = {"User-Agent": "test-coordinator", **arguments.headers}
    request: dict[str, Any] = {
        "follow_redirects": arguments.follow_redirects,
        "headers": headers,
    }
    if arguments.query:
        request["params"] = arguments.query
    if "json_body" in arguments.model_fields_set:
        request["data"] = json.dumps(arguments.json_body).encode()
        if "content-type" not in {name.lower() for name in headers}:
            headers["Content-Type"] = "application/json"
    elif "body" in arguments.model_fields_set:
        request["data"] = arguments.body
    return request


def _build_fields(answer: Answer) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "status": answer.status,
        "headers": answer.headers,
        "body": answer.body,
        "elapsed": answer.elapsed,
    }
    if answer.is_cut:
        fields["note"] = f"the body was cut after {MAX_BODY_BYTES} bytes"
        return fields
    # Without JSON there is no 'json', which an expectation of one reports.
    with contextlib.suppress(ValueError, RecursionError):
        fields["json"] = read_json(answer.body)
    return fields
