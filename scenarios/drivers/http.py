"""Sends one HTTP request to a service or a URL."""

import contextlib
import json
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone
from scenarios.domain.matchers import format_value
from scenarios.domain.outputs import read_json
from scenarios.domain.plan import origin
from scenarios.domain.retry_after import parse_retry_after
from scenarios.domain.trace_context import build_traceparent
from scenarios.drivers.cookies import find_cookies
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.http_exchange import MAX_BODY_BYTES, Answer, exchange
from scenarios.drivers.http_load import prepare_load
from scenarios.drivers.listening import require_listener
from scenarios.drivers.reach import explain_unreachable
from scenarios.drivers.redirects import READING_METHODS
from scenarios.drivers.web_credentials import (
    build_authorization,
    build_tls,
    check_credentials,
    choose_credentials,
)
from scenarios.ports import Platform

# Many frameworks treat a GET with one of these headers as the method that it names.
_OVERRIDING_HEADERS = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
_DONE = range(200, 300)
_REDIRECTS = range(300, 400)
_GONE = frozenset({404, 410})
# https://www.rfc-editor.org/rfc/rfc9110#name-retry-after, https://www.rfc-editor.org/rfc/rfc6585#section-4
_BUSY_STATUSES = frozenset({429, 503})
# Sent by a gateway, while the target may still be working; 520 to 527 are Cloudflare's. Not 503: a busy
# target sends it and has done nothing.
_GATEWAY_STATUSES = frozenset({502, 504, *range(520, 528)})
# After these the target may still carry the request out. 202 means "accepted": it counts as done like every
# 2xx, but where a step excludes it, the rest is still to come. https://www.rfc-editor.org/rfc/rfc9110#name-202-accepted
_UNDECIDED_STATUSES = _GATEWAY_STATUSES | {202}
# Some servers write it before JSON; parsers may ignore it: RFC 8259, 8.1.
_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class _Target:
    """`name` is its name in messages, without the password that a URL may contain."""

    url: str
    name: str


class Http:
    """An action is done if the status is 2xx, or one of `ok` if that is given. With `follow_redirects`, the
    status after the redirects decides. Without `ok`, an undo by DELETE is also done if the response to a
    DELETE is 404 or 410, because then there is nothing to undo. A probe accepts any response.

    202 counts as done, although the target may only begin later. For such a target, prove with `undone` that
    the fault is gone. If `ok` or `expect` excludes 202, the fault is kept and undone again like one whose
    injection was never answered.
    """

    name: ClassVar[str] = "http"
    libraries: ClassVar[tuple[str, ...]] = ("aiohttp",)
    Arguments: ClassVar[type[HttpArguments]] = HttpArguments
    decided_by: ClassVar[str] = "status"

    def check(self, arguments: HttpArguments, platform: Platform) -> None:
        _find_target(arguments, platform)
        check_credentials(arguments, platform, arguments.service)

    async def reach(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        target = _find_target(arguments, platform)
        await require_listener(target.name, target.url, platform)
        return {}

    def acts_when_probed(self, arguments: Mapping[str, Any]) -> bool:
        methods = [arguments.get("method", "GET"), *_find_overriding_methods(arguments.get("headers"))]
        return any(str(method).upper() not in READING_METHODS for method in methods)

    async def probe(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        return _build_fields(await _exchange(arguments, _find_target(arguments, platform), platform))

    async def prepare_load(self, arguments: HttpArguments, platform: Platform) -> Mapping[str, Any]:
        """The target and the request of a load, whose process sends them; see `scenarios.load`."""
        return await prepare_load(arguments, _find_target(arguments, platform).url, platform)

    def is_of_target(self, fields: Mapping[str, Any]) -> bool:
        return fields["status"] not in _UNDECIDED_STATUSES

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
        """`gone`: statuses that also count as done in response to a DELETE."""
        target = _find_target(arguments, platform)
        answer = await _exchange(arguments, target, platform)
        # After a redirect to GET, the status says nothing about what the DELETE was for.
        if answer.status in accepted or (answer.method == "DELETE" and answer.status in gone):
            return _build_fields(answer)
        asked = f"{arguments.method} {urlsplit(target.url).path or '/'}"
        failure = StepFailed if answer.status in _UNDECIDED_STATUSES else StepNotDone
        sentence = f"{target.name} answered {answer.status} to {asked}: {_explain_not_done(answer)}"
        raise failure(sentence, retry_after=_read_retry_after(answer))


def _read_retry_after(answer: Answer) -> float:
    return parse_retry_after(answer.headers, datetime.now(UTC)) if answer.status in _BUSY_STATUSES else 0.0


def _explain_not_done(answer: Answer) -> str:
    if answer.status not in _REDIRECTS:
        return format_value(answer.body)
    headers = {name.lower(): value for name, value in answer.headers.items()}
    place = f" to {format_value(headers['location'])}" if "location" in headers else ""
    return f"a redirect{place} that was not followed; use 'follow_redirects: true' or the final address"


def _find_target(arguments: HttpArguments, platform: Platform) -> _Target:
    if arguments.service:
        address = platform.address_of(arguments.service).rstrip("/")
        if not address.lower().startswith(("http://", "https://")):
            raise StepImpossible(
                f"{arguments.service} at {origin(address)} is not an HTTP service: use a driver for it, "
                "or a 'tcp' step, which checks whether something listens"
            )
        return _Target(address + arguments.path, f"{arguments.service} at {origin(address)}")
    if sentence := explain_unreachable("'url'"):
        raise StepImpossible(sentence)
    return _Target(arguments.url, f"the target at {origin(arguments.url)}")


def _find_overriding_methods(headers: Any) -> list[Any]:
    """The methods that the headers name instead of the request's own."""
    named = headers if isinstance(headers, Mapping) else {}
    return [value for name, value in named.items() if str(name).lower() in _OVERRIDING_HEADERS]


async def _exchange(arguments: HttpArguments, target: _Target, platform: Platform) -> Answer:
    request = _build_request(arguments, platform)
    if arguments.cookies:
        request["cookies"] = find_cookies(platform, arguments.service or origin(target.url))
    return await exchange(
        arguments.method,
        target.url,
        name=target.name,
        seconds=arguments.timeout,
        platform=platform,
        **request,
    )


def _build_request(arguments: HttpArguments, platform: Platform) -> dict[str, Any]:
    credentials = choose_credentials(arguments, platform, arguments.service)
    headers = {
        "User-Agent": "test-coordinator",
        **arguments.headers,
        **build_authorization(credentials.auth),
    }
    names = {name.lower() for name in headers}
    if "traceparent" not in names and (traceparent := build_traceparent()) is not None:
        headers["traceparent"] = traceparent
    request: dict[str, Any] = {
        "follow_redirects": arguments.follow_redirects,
        "headers": headers,
        "tls": build_tls(credentials.tls),
    }
    if arguments.query:
        request["params"] = arguments.query
    if "json_body" in arguments.model_fields_set:
        request["data"] = json.dumps(arguments.json_body).encode()
        if "content-type" not in names:
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
    # If the body is not JSON, there is no 'json' field, and an expectation for it fails.
    with contextlib.suppress(ValueError, RecursionError):
        fields["json"] = read_json(answer.body.removeprefix(_BYTE_ORDER_MARK))
    return fields
