"""One HTTP request, and an answer that is bounded whatever the target sends."""

import asyncio
import codecs
import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, Declaration, PositiveDuration
from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.expectations import shown
from scenarios.domain.templates import as_text
from scenarios.ports import Surroundings

if TYPE_CHECKING:
    import aiohttp

MOST_BODY = 1024 * 1024
_CLIENT_ERROR = 400
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCALAR = {"type": ["string", "number", "boolean"]}


def _url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text[:80]!r} is no address for this step: it begins with 'http://' or 'https://'")
    if parts.port == 0:
        raise ValueError(f"{text[:80]!r} has the port 0: it is 1 to 65535")
    return text


def _path(text: str) -> str:
    if not text.startswith("/"):
        raise ValueError(f"{text[:80]!r} is no path: it begins with '/', as in '/health'")
    return text


def _method(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z]{1,32}", text):
        raise ValueError(f"{text[:40]!r} is no HTTP method: letters only, as in 'POST'")
    return text.upper()


def _headers(headers: dict[str, Any]) -> dict[str, str]:
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no header name: letters, digits and '-'")
        if not _is_scalar(value) or not as_text(value).isprintable():
            raise ValueError(f"{shown(value)} is no value for the header {name!r}: one printable line")
    return {name: as_text(value) for name, value in headers.items()}


def _query(query: dict[str, Any]) -> list[tuple[str, str]]:
    pairs = []
    for name, given in query.items():
        for value in given if isinstance(given, list) else [given]:
            if not _is_scalar(value):
                raise ValueError(
                    f"{shown(value)} is no value for {name!r} in a query: text, a number or a truth"
                )
            pairs.append((name, as_text(value)))
    return pairs


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)


class HttpArguments(Declaration):
    """`service` and `path`, or `url`; at most one of `json` and `body`."""

    service: Annotated[str, Field(min_length=1)] = Field(ABSENT)
    path: Annotated[str, AfterValidator(_path)] = "/"
    url: Annotated[str, AfterValidator(_url)] = Field(ABSENT)
    method: Annotated[str, AfterValidator(_method)] = "GET"
    query: Annotated[
        dict[str, Any],
        AfterValidator(_query),
        WithJsonSchema({"type": "object", "additionalProperties": {"type": [*_SCALAR["type"], "array"]}}),
    ] = {}
    headers: Annotated[
        dict[str, Any],
        AfterValidator(_headers),
        WithJsonSchema({"type": "object", "additionalProperties": _SCALAR}),
    ] = {}
    json_body: Any = Field(ABSENT, alias="json")
    body: str = Field(ABSENT)
    timeout: PositiveDuration = 30.0
    follow_redirects: bool = False

    @classmethod
    def relations(cls, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if "url" in given:
            for word in ("service", "path"):
                if word in given:
                    yield word, f"{word!r} and 'url' exclude each other: a url is the whole address"
        elif "service" not in given:
            yield "", "the step has no address: give 'service' and 'path', or 'url'"
        if "json" in given and "body" in given:
            yield "body", "'body' and 'json' exclude each other: a request has one body"


@dataclass(frozen=True, slots=True)
class _Target:
    """`name` is how it is spoken of; it never holds the password that a URL may."""

    url: str
    name: str


class Http:
    name: ClassVar[str] = "http"
    Arguments: ClassVar[type[HttpArguments]] = HttpArguments

    async def probe(self, arguments: HttpArguments, surroundings: Surroundings) -> Mapping[str, Any]:
        return await _exchange(arguments, _target(arguments, surroundings))

    async def act(self, arguments: HttpArguments, surroundings: Surroundings) -> Mapping[str, Any]:
        target = _target(arguments, surroundings)
        answer = await _exchange(arguments, target)
        if answer["status"] >= _CLIENT_ERROR:
            asked = f"{arguments.method} {urlsplit(target.url).path or '/'}"
            raise StepFailed(f"{target.name} answered {answer['status']} to {asked}: {shown(answer['body'])}")
        return answer


def _target(arguments: HttpArguments, surroundings: Surroundings) -> _Target:
    if arguments.service:
        address = surroundings.address_of(arguments.service).rstrip("/")
        return _Target(address + arguments.path, f"{arguments.service} at {_origin(address)}")
    return _Target(arguments.url, f"the target at {_origin(arguments.url)}")


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


async def _exchange(arguments: HttpArguments, target: _Target) -> dict[str, Any]:
    # Imported when a step runs: it costs 0.3 s, which no web request and no command should pay.
    import aiohttp  # noqa: PLC0415

    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(arguments.timeout),
            _session() as session,
            session.request(arguments.method, **_request(arguments, target)) as response,
        ):
            body, is_cut = await _bounded_body(response)
            return _answer(response, body, is_cut=is_cut, elapsed=time.perf_counter() - started)
    except TimeoutError as error:
        limit = format_duration(arguments.timeout)
        raise StepFailed(f"{target.name} did not answer within {limit}") from error
    except aiohttp.InvalidURL as error:
        reason = error.description or "it cannot be read"
        raise StepImpossible(f"{target.url[:80]!r} is no address: {reason}") from error
    except aiohttp.ClientConnectorError as error:
        # After a redirect, the first request did reach somebody.
        unsent = StepFailed if arguments.follow_redirects else StepNotSent
        raise unsent(f"{target.name} {_why_not_connected(error)}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise StepFailed(f"{target.name} {_why_not_read(error)}") from error


def _session() -> "aiohttp.ClientSession":
    """One session for one request: a scenario wants each to stand for itself, with no connection,
    cookie or proxy left from another.
    """
    import aiohttp  # noqa: PLC0415

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )


def _request(arguments: HttpArguments, target: _Target) -> dict[str, Any]:
    headers = {"User-Agent": "test-coordinator", **arguments.headers}
    request: dict[str, Any] = {
        "url": target.url,
        "allow_redirects": arguments.follow_redirects,
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


async def _bounded_body(response: "aiohttp.ClientResponse") -> tuple[bytes, bool]:
    """As much of the body as is kept, and whether there was more."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MOST_BODY:
            return b"".join(chunks)[:MOST_BODY], True
    return b"".join(chunks), False


def _answer(
    response: "aiohttp.ClientResponse", body: bytes, *, is_cut: bool, elapsed: float
) -> dict[str, Any]:
    text = body.decode(_encoding(response), "replace")
    answer: dict[str, Any] = {
        "status": response.status,
        "headers": _readable_headers(response),
        "body": text,
        "elapsed": elapsed,
    }
    if is_cut:
        answer["note"] = f"the body was cut after {MOST_BODY} bytes"
        return answer
    # Without JSON there is no 'json', which an expectation of one reports.
    with contextlib.suppress(ValueError, RecursionError):
        answer["json"] = json.loads(text, parse_constant=_refuse_constant)
    return answer


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _encoding(response: "aiohttp.ClientResponse") -> str:
    try:
        codec = codecs.lookup(response.charset or "utf-8")
    except (LookupError, ValueError):
        return "utf-8"
    # Some codecs, such as `hex`, turn bytes into bytes.
    return codec.name if getattr(codec, "_is_text_encoding", True) else "utf-8"


def _readable_headers(response: "aiohttp.ClientResponse") -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        readable = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {readable}" if name in headers else readable
    return headers


def _why_not_connected(error: "aiohttp.ClientConnectorError") -> str:
    if isinstance(error.os_error, ConnectionRefusedError):
        return "refused the connection"
    if type(error).__name__ == "ClientConnectorDNSError":
        return f"has a name that cannot be resolved: {error.host!r}"
    if type(error).__name__ == "ClientConnectorCertificateError":
        return f"has a certificate that is refused: {error}"
    return f"cannot be reached: {error.os_error.strerror or error.os_error}"


def _why_not_read(error: Exception) -> str:
    import aiohttp  # noqa: PLC0415

    if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError):
        return "closed the connection without an answer"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "broke off in the middle of its answer"
    if isinstance(error, aiohttp.TooManyRedirects):
        return "redirects without end"
    if isinstance(error, aiohttp.RedirectClientError):
        return f"redirects to what is no web address: {error}"
    reason = getattr(error, "message", "") or str(error) or type(error).__name__
    return f"answered what is not HTTP: {shown(reason.strip().partition(chr(10))[0])}"
