"""The control API of the proxy: HTTP and JSON. Each request has the token, or proves that its sender has it.

| request | answer |
| --- | --- |
| `PUT /faults/ID` with `{"listener", "lease", "fault"}` | 201; 409 where the fault was removed before |
| `POST /faults/ID/renew` with `{"lease"}` | 200; 404 where the proxy does not have it |
| `DELETE /faults/ID` | 204, also for an unknown one; headers `Fault-Was-Present`, `Fault-Touched` |
| `GET /faults/ID`, `GET /faults`, `GET /listeners` | 200; 404 |
| `GET /metrics` | 200, in Prometheus's text format |
| `GET /health` | 200, without a token |
| `GET /challenge` | 200 with `{"nonce"}`, without a token: for the next request, as signatures.py describes |
"""

import asyncio
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, NamedTuple

from injector.exposition import write_exposition
from injector.faults import parse_fault
from injector.leases import (
    MAX_LEASE,
    MIN_LEASE,
    FaultGoneError,
    FaultRemovedError,
    FaultTable,
    Held,
    TooManyFaultsError,
)
from injector.relay import Relay
from injector.signatures import SCHEME, Nonces, parse_authorization
from injector.tokens import Tokens
from injector.values import FaultError

MAX_BODY = 64 * 1024
REQUEST_SECONDS = 10.0
MAX_CONNECTIONS = 200
FAULT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
JSON = "application/json"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Request(NamedTuple):
    method: str
    path: str
    authorization: tuple[str, str]
    """The scheme in lower case, and the rest."""
    body: bytes


class Answer(NamedTuple):
    status: HTTPStatus
    content: bytes = b""
    content_type: str = JSON
    headers: tuple[str, ...] = ()


class RefusedError(Exception):
    """The request is answered with this status and sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Control:
    """Serves the requests of clients that know the token."""

    def __init__(self, relays: Mapping[str, Relay], faults: FaultTable, tokens: Tokens) -> None:
        self._relays = relays
        self._faults = faults
        self._tokens = tokens
        self._nonces = Nonces()
        self._open: dict[asyncio.WriteTransport, None] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, which has one request."""
        transport = writer.transport
        self._open[transport] = None
        if len(self._open) > MAX_CONNECTIONS:
            # Those that have waited longest send nothing.
            next(iter(self._open)).abort()
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                answer = await self._answer_next(reader)
                writer.write(_written(answer))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            transport.abort()  # nobody waits for an answer, or nothing arrived that could have one
        except asyncio.CancelledError:
            # The proxy stops. If raised, asyncio would report it as an error of the connection.
            transport.abort()
        finally:
            del self._open[transport]

    async def _answer_next(self, reader: asyncio.StreamReader) -> Answer:
        try:
            return self.answer(await _read(reader))
        except RefusedError as refused:
            return _json(refused.status, {"error": refused.reason})

    def answer(self, request: Request) -> Answer:
        """The answer to a request.

        Raises:
            RefusedError: it cannot be done.
        """
        if request.path == "/health":
            return _json(HTTPStatus.OK, {"status": "ok"})
        if request.path == "/challenge":
            return _json(HTTPStatus.OK, {"nonce": self._nonces.make()})
        if not self._has_token(request):
            raise RefusedError(
                HTTPStatus.UNAUTHORIZED, "send the proxy's token: 'Authorization: Bearer TOKEN'"
            )
        if request.method == "GET" and request.path in self._pages:
            return self._pages[request.path](self)
        if found := re.fullmatch(r"/faults/([^/]+)(/renew)?", request.path):
            return self._answer_fault(request, found[1], is_renewal=bool(found[2]))
        raise RefusedError(HTTPStatus.NOT_FOUND, f"{request.method} {request.path!r} is unknown")

    def _has_token(self, request: Request) -> bool:
        scheme, rest = request.authorization
        if scheme == "bearer":
            return self._tokens.accept(rest)
        signed = parse_authorization(rest) if scheme == SCHEME.lower() else None
        if signed is None:
            return False
        is_known = self._tokens.accept_signed(*signed, request.method, request.path, request.body)
        return is_known and self._nonces.take(signed[0])

    def _answer_fault(self, request: Request, fault_id: str, *, is_renewal: bool) -> Answer:
        if not FAULT_ID.fullmatch(fault_id):
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"{fault_id!r} is not an id; use letters, digits and . _ : -"
            )
        try:
            if is_renewal and request.method == "POST":
                return _json(
                    HTTPStatus.OK,
                    self._show(fault_id, self._faults.renew(fault_id, _lease(_object(request)))),
                )
            if request.method == "GET":
                return _json(HTTPStatus.OK, self._show(fault_id, self._faults.find(fault_id)))
        except FaultGoneError as error:
            raise RefusedError(
                HTTPStatus.NOT_FOUND, f"this proxy does not have the fault {fault_id!r}"
            ) from error
        if request.method == "PUT":
            return self._inject(fault_id, _object(request))
        if request.method == "DELETE":
            return self._remove(fault_id)
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is not for {request.path!r}")

    def _inject(self, fault_id: str, given: Mapping[str, Any]) -> Answer:
        listener = given.get("listener")
        if not isinstance(listener, str) or listener not in self._relays:
            known = ", ".join(self._relays)
            raise RefusedError(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"unknown listener {listener!r}; this proxy has {known}"
            )
        try:
            fault = parse_fault(given.get("fault"))
            held = self._faults.inject(fault_id, fault, listener, _lease(given))
        except FaultError as error:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from error
        except FaultRemovedError as error:
            raise RefusedError(
                HTTPStatus.CONFLICT, f"the fault {fault_id!r} was removed before: it is not injected again"
            ) from error
        except TooManyFaultsError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, str(error)) from error
        return _json(HTTPStatus.CREATED, self._show(fault_id, held))

    def _remove(self, fault_id: str) -> Answer:
        touched = sum(relay.find_touched(fault_id) for relay in self._relays.values())
        was_present = "true" if self._faults.remove(fault_id) else "false"
        headers = (f"Fault-Was-Present: {was_present}", f"Fault-Touched: {touched}")
        return Answer(HTTPStatus.NO_CONTENT, headers=headers)

    def _show(self, fault_id: str, held: Held) -> dict[str, Any]:
        return {
            "listener": held.listener,
            "fault": asdict(held.fault),
            "seconds_left": round(held.seconds_left, 3),
            "touched": self._relays[held.listener].find_touched(fault_id),
        }

    def _list_faults(self) -> Answer:
        return _json(HTTPStatus.OK, {fault_id: self._show(fault_id, held) for fault_id, held in self._faults})

    def _list_listeners(self) -> Answer:
        found = {name: describe(relay) for name, relay in self._relays.items()}
        return _json(HTTPStatus.OK, found)

    def _expose(self) -> Answer:
        return Answer(HTTPStatus.OK, write_exposition(self._relays, self._faults).encode(), TEXT)

    _pages: Mapping[str, Callable[["Control"], Answer]] = {
        "/faults": _list_faults,
        "/listeners": _list_listeners,
        "/metrics": _expose,
    }


def describe(relay: Relay) -> dict[str, Any]:
    described = {
        "upstream": str(relay.upstream),
        "connections": len(relay.open),
        "listening": relay.is_listening,
    }
    problems = {
        "problem": relay.problem,
        "certificate_problem": relay.certificate_problem,
        "upstream_problem": relay.upstream_problem,
    }
    return described | {name: problem for name, problem in problems.items() if problem}


async def _read(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    try:
        method, target, _version = first.split(" ")
        headers = {
            name.strip().lower(): text.strip()
            for name, text in (line.split(":", 1) for line in lines if line)
        }
        length = int(headers.get("content-length", "0"))
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "this is not an HTTP/1.1 request") from error
    if "transfer-encoding" in headers:
        raise RefusedError(HTTPStatus.LENGTH_REQUIRED, "send the body with a Content-Length")
    if not 0 <= length <= MAX_BODY:
        raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MAX_BODY} bytes")
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    body = await reader.readexactly(length)
    return Request(method, target.partition("?")[0], (scheme.lower(), rest.strip()), body)


def _object(request: Request) -> Mapping[str, Any]:
    try:
        found = json.loads(request.body or b"{}")
    except (ValueError, RecursionError) as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from error
    if not isinstance(found, dict):
        raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY, "the body must be a JSON object")
    return found


def _lease(given: Mapping[str, Any]) -> float:
    lease = given.get("lease")
    if isinstance(lease, bool) or not isinstance(lease, int | float) or not MIN_LEASE <= lease <= MAX_LEASE:
        raise RefusedError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"lease={lease!r}: give the seconds after which the fault ends by itself, "
            f"{MIN_LEASE:g} to {MAX_LEASE:g}",
        )
    return float(lease)


def _json(status: HTTPStatus, content: Mapping[str, Any]) -> Answer:
    return Answer(status, json.dumps(content).encode() + b"\n")


def _written(answer: Answer) -> bytes:
    head = [
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.content)}",
        "Connection: close",
        *answer.headers,
    ]
    return "\r\n".join([*head, "", ""]).encode() + answer.content
