# Made from asynchronous/transport.py by write_synchronous.py: change that instead.
"""Sends requests over HTTP, with limits, and one error for every failure."""

import ssl
from collections.abc import Iterator, Callable
from itertools import count
from time import monotonic, sleep
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpcore

from coordinator_client.addresses import (
    build_tls_context,
    check_address,
    check_token,
    find_proxy,
    find_user,
    hide_user,
)
from coordinator_client.errors import (
    CoordinatorError,
    SettingsError,
    UnavailableError,
    UnexpectedAnswerError,
)
from coordinator_client.exchanges import (
    CONNECT_SECONDS,
    MAX_BYTES,
    MAX_TRIES,
    PAGE_SIZE,
    WHOLE_SECONDS,
    Call,
    Response,
    build_call,
    check_response,
    describe_cause,
    find_delay,
)


class Transport:
    """The connections to one coordinator. It follows no redirect, so that the token goes nowhere else."""

    def __init__(
        self,
        server: str,
        token: str = "",
        *,
        authority: str = "",
        timeout: float = 30.0,
        tries: int = MAX_TRIES,
    ) -> None:
        self._tries = tries
        self.server = check_address(server)
        self._headers = {"Authorization": f"Bearer {check_token(token)}"} if token else {}
        self._timeout = timeout
        is_secure = urlsplit(self.server).scheme == "https"
        proxy = find_proxy(self.server)
        self._way = f"{self.server}, through the proxy {hide_user(proxy)}," if proxy else self.server
        self._is_closed = False
        self._pool = httpcore.ConnectionPool(
            ssl_context=build_tls_context(authority) if is_secure else None,
            proxy=httpcore.Proxy(hide_user(proxy), auth=find_user(proxy)) if proxy else None,
        )

    def close(self) -> None:
        self._is_closed = True
        self._pool.close()

    def request(self, method: str, path: str, **what: Any) -> Response:
        """Send what `build_call` takes, and again where that is safe.

        Raises:
            CoordinatorError: see `check_response`.
        """
        call = build_call(method, path, **what)
        until = monotonic() + self._timeout
        for number in count(1):
            try:
                response = self._send(call)
            except UnavailableError:
                # A server that has been silent for so long is not asked again.
                if number >= self._tries or not call.is_safe or monotonic() >= until:
                    raise
                sleep(0.2 * number)
                continue
            delay = find_delay(call, response) if number < self._tries else None
            if delay is None:
                return check_response(self.server, response)
            sleep(delay or 0.5 * number)
        raise AssertionError("the last try returns or raises")

    def json(self, method: str, path: str, **what: Any) -> Any:
        response = self.request(method, path, **what)
        return response.json(self.server)

    def items(self, path: str, *, limit: int | None = None, **parameters: Any) -> Iterator[Any]:
        """The items of all pages, or the first `limit`."""
        left, cursor = limit, ""
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            asked = {**parameters, "limit": size, "cursor": cursor}
            page = self.json("GET", path, parameters=asked)
            try:
                found, cursor = page["items"][:left], page["next_cursor"] or ""
            except (KeyError, TypeError):
                raise UnexpectedAnswerError(self.server, "without a list") from None
            for item in found:
                yield item
            left = None if left is None else left - len(found)
            if not cursor or not found:
                return

    def _send(self, call: Call) -> Response:
        with self.open(call, self._timeout) as answer:
            until, content = monotonic() + WHOLE_SECONDS, bytearray()
            for part in answer.iter_stream():
                content += part
                if len(content) > MAX_BYTES:
                    raise UnexpectedAnswerError(self.server, f"with more than {MAX_BYTES} bytes")
                if monotonic() > until:
                    raise UnavailableError(f"{self.server} did not finish its response in time.")
            return Response(answer.status, read_headers(answer), bytes(content))

    def open(self, call: Call, read_seconds: float) -> "Exchange":
        """The response, whose content has not been read yet.

        Raises:
            RuntimeError: the client has been closed.
        """
        if self._is_closed:
            raise RuntimeError("This client has been closed; make another one.")
        connect = min(CONNECT_SECONDS, self._timeout)
        timeouts = {"connect": connect, "read": read_seconds, "write": self._timeout, "pool": self._timeout}
        given = {**call.headers, **self._headers}
        needed = {"Host": urlsplit(self.server).netloc, "Content-Length": str(len(call.content))}
        names = {name.lower() for name in given}
        headers: dict[bytes | str, bytes | str] = {}
        headers.update((name, value) for name, value in needed.items() if name.lower() not in names)
        headers.update(given.items())
        request = httpcore.Request(
            call.method,
            f"{self.server}/api/v1/{call.target}",
            headers=headers,
            content=call.content,
            extensions={"timeout": timeouts},
        )
        return Exchange(self._pool, request, self._explain)

    def _explain(self, error: BaseException | None) -> CoordinatorError | None:
        """The error of this library for one of httpcore; None for any other."""
        if isinstance(error, httpcore.TimeoutException):
            return UnavailableError(f"{self._way} did not answer in time.")
        if isinstance(error, httpcore.NetworkError | httpcore.ProxyError):
            return explain_broken(self.server, self._way, error)
        if isinstance(error, httpcore.ProtocolError | httpcore.UnsupportedProtocol):
            return explain_protocol(self.server, error)
        return None


class Exchange:
    """A request, and its response while it is read.

    Not a generator, as of `contextlib`: when a program leaves a loop early and ends, asyncio closes all
    generators at the same time, which fails for one that another one is waiting for.
    """

    def __init__(
        self,
        pool: httpcore.ConnectionPool,
        request: httpcore.Request,
        explain: Callable[[BaseException | None], CoordinatorError | None],
    ) -> None:
        self._pool = pool
        self._request = request
        self._explain = explain

    def __enter__(self) -> httpcore.Response:
        try:
            self._answer = self._pool.handle_request(self._request)
        except Exception as error:
            if (explained := self._explain(error)) is None:
                raise
            raise explained from error
        return self._answer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answer.close()
        if (explained := self._explain(error)) is not None:
            raise explained from error


def read_headers(answer: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}


def explain_broken(server: str, way: str, error: Exception) -> UnavailableError | SettingsError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError) and cause.reason == "WRONG_VERSION_NUMBER":
            return SettingsError(f"{server} does not speak TLS; perhaps its address begins with 'http://'.")
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "verify_message", "") or describe_cause(cause)
            return SettingsError(
                f"The certificate of {server} is not accepted: {reason}. "
                "For a certificate authority of your own, give its file with '--ca' or SSL_CERT_FILE."
            )
        cause = cause.__cause__ or cause.__context__
    return UnavailableError(f"{way} cannot be reached: {describe_cause(error)}.")


def explain_protocol(server: str, error: Exception) -> UnavailableError | UnexpectedAnswerError:
    """A connection that was closed too early, or something that is not HTTP."""
    reason = describe_cause(error)
    if "disconnected" in reason or "without sending" in reason or "incomplete" in reason:
        return UnavailableError(f"{server} cannot be reached: {reason}.")
    return UnexpectedAnswerError(server, f"something that is not HTTP ({reason})")
