"""Requests to another coordinator's API, with limits, retries, and one sentence for every failure."""

import json
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import requests
from requests.auth import AuthBase

from scenarios.command_line.coordinator import CommandRefused, CoordinatorUnavailable
from scenarios.domain.errors import Problem
from scenarios.domain.retry_after import parse_retry_after

CONNECT_SECONDS, READ_SECONDS, WHOLE_SECONDS = 5.0, 30.0, 120.0
MAX_BYTES = 64 * 1024 * 1024
CHUNK_BYTES = 64 * 1024
MAX_TRIES = 3
MAX_DELAY = 10.0
UNAVAILABLE = {
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
}
PAGE_SIZE = 200


class Refusal(CommandRefused):
    """The API answered with a problem document; `errors` lists each error."""

    def __init__(self, sentence: str, status: int, errors: list[Mapping[str, Any]]) -> None:
        super().__init__(sentence)
        self.status = status
        self.errors = errors

    def list_document_problems(self) -> list[Problem]:
        return [
            Problem(item["line"], item["column"], item["path"], item["message"], item.get("hint", ""))
            for item in self.errors
            if isinstance(item.get("line"), int)
        ]


class UnexpectedAnswer(CommandRefused):
    """The response is not that of a coordinator, or of an incompatible version."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(f"{address} answered {what}; check that this is a coordinator's address.")


class _Bearer(AuthBase):
    """Without this, requests would take credentials from `.netrc` instead of the token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._token:
            request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class HttpApi:
    """Every write has an Idempotency-Key, so that it can be repeated if it is not answered."""

    def __init__(self, server: str, token: str) -> None:
        self.server = _check_address(server)
        self._root = f"{self.server}/api/v1"
        self._session = requests.Session()
        self._session.auth = _Bearer(_check_token(token))
        self._session.headers["User-Agent"] = "test-coordinator-cli"

    def json(self, method: str, path: str, **named: Any) -> Any:
        answer, content = self._request(method, path, **named)
        if answer.status_code == HTTPStatus.NO_CONTENT:
            return None
        return self._parse(answer, content)

    def fetch_content(self, path: str, **parameters: Any) -> bytes:
        return self._request("GET", path, params=parameters)[1]

    def items(self, path: str, *, limit: int | None = None, **parameters: Any) -> Iterator[Any]:
        """The items of all pages, or the first `limit`."""
        left, cursor = limit, ""
        while left is None or left > 0:
            size = PAGE_SIZE if left is None else min(PAGE_SIZE, left)
            asked = {**parameters, "limit": size, **({"cursor": cursor} if cursor else {})}
            page = self.json("GET", path, params=asked)
            try:
                found, cursor = page["items"][:left], page["next_cursor"] or ""
            except (KeyError, TypeError):
                raise UnexpectedAnswer(self.server, "without a list") from None
            yield from found
            left = None if left is None else left - len(found)
            if not cursor or not found:
                return

    def find_problem(self, part: str) -> str:
        """The problem that `ready` reports for the part; "" if none."""
        _, content = self._send("GET", "ready")  # 503 is a valid response here
        try:
            return str(json.loads(content)["parts"][part]["problem"])
        except (ValueError, KeyError, TypeError):
            return ""

    def _request(self, method: str, path: str, **named: Any) -> tuple[requests.Response, bytes]:
        headers = {"Accept": "application/json", **named.pop("headers", {})}
        if method != "GET":
            headers["Idempotency-Key"] = str(uuid4())  # the same for every try
        for number in range(1, MAX_TRIES + 1):
            try:
                answer, content = self._send(method, path, headers=headers, **named)
            except CoordinatorUnavailable:
                if number == MAX_TRIES:
                    raise
                time.sleep(0.2 * number)
                continue
            if answer.status_code not in UNAVAILABLE or number == MAX_TRIES:
                return answer, self._check_status(answer, content)
            time.sleep(_choose_delay(answer, 0.5 * number))
        raise AssertionError("the last try returns or raises")

    def _send(self, method: str, path: str, **named: Any) -> tuple[requests.Response, bytes]:
        try:
            with self._session.request(
                method,
                f"{self._root}/{path}",
                timeout=(CONNECT_SECONDS, READ_SECONDS),
                # The token must not go to an address that the user has not named.
                allow_redirects=False,
                stream=True,
                **named,
            ) as answer:
                return answer, self._read(answer)
        except requests.exceptions.SSLError as error:
            raise CommandRefused(
                f"The certificate of {self.server} is not accepted: {_describe_cause(error)}. "
                "For a certificate authority of your own, set REQUESTS_CA_BUNDLE to its file."
            ) from error
        except requests.exceptions.Timeout as error:
            raise CoordinatorUnavailable(f"{self.server} did not answer in time.") from error
        except requests.exceptions.ConnectionError as error:
            raise CoordinatorUnavailable(
                f"{self.server} cannot be reached: {_describe_cause(error)}."
            ) from error
        except requests.exceptions.RequestException as error:
            raise UnexpectedAnswer(
                self.server, f"something that is not HTTP ({_describe_cause(error)})"
            ) from error

    def _read(self, answer: requests.Response) -> bytes:
        """Read the content, with limits on size and total time."""
        until, content = time.monotonic() + WHOLE_SECONDS, bytearray()
        for part in answer.iter_content(CHUNK_BYTES):
            content += part
            if len(content) > MAX_BYTES:
                raise UnexpectedAnswer(self.server, f"with more than {MAX_BYTES} bytes")
            if time.monotonic() > until:
                raise CoordinatorUnavailable(f"{self.server} did not finish its response in time.")
        return bytes(content)

    def _check_status(self, answer: requests.Response, content: bytes) -> bytes:
        status = answer.status_code
        if status < HTTPStatus.MULTIPLE_CHOICES:
            return content
        if status < HTTPStatus.BAD_REQUEST:
            where = answer.headers.get("Location", "")
            raise UnexpectedAnswer(self.server, f"with a redirect to {where!r}, which is not followed")
        sentence, errors = self._read_problem(answer, content)
        if status in UNAVAILABLE:
            raise CoordinatorUnavailable(f"{self.server}: {sentence}")
        if status == HTTPStatus.UNAUTHORIZED:
            sentence += " Set the token in TEST_COORDINATOR_TOKEN."
        raise Refusal(sentence, status, errors)

    def _read_problem(self, answer: requests.Response, content: bytes) -> tuple[str, list[Mapping[str, Any]]]:
        if "problem+json" not in answer.headers.get("Content-Type", ""):
            if answer.status_code in UNAVAILABLE or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                return f"it answered {answer.status_code}.", []
            raise UnexpectedAnswer(self.server, f"{answer.status_code} without a reason")
        found = self._parse(answer, content)
        try:
            return str(found["detail"]), [item for item in found.get("errors", []) if isinstance(item, dict)]
        except (KeyError, TypeError, AttributeError):
            raise UnexpectedAnswer(self.server, f"{answer.status_code} without a reason") from None

    def _parse(self, answer: requests.Response, content: bytes) -> Any:
        try:
            return json.loads(content)
        except ValueError:
            kind = answer.headers.get("Content-Type", "no content type")
            raise UnexpectedAnswer(
                self.server, f"{answer.status_code} with {kind!r} instead of JSON"
            ) from None


def _choose_delay(answer: requests.Response, otherwise: float) -> float:
    return min(parse_retry_after(answer.headers, datetime.now(UTC)), MAX_DELAY) or otherwise


def _describe_cause(error: BaseException) -> str:
    """The innermost error's message, because the libraries wrap the cause several times."""
    while True:
        reason = getattr(error, "reason", None) or (error.args[0] if error.args else None)
        inner = reason if isinstance(reason, BaseException) else error.__cause__ or error.__context__
        if inner is None:
            break
        error = inner
    return str(getattr(error, "strerror", None) or error).rstrip(".")


def _check_address(server: str) -> str:
    try:
        parts = urlsplit(server)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        fits = fits and not (parts.username or parts.password or parts.query or parts.fragment)
    except ValueError:
        fits = False
    if not fits:
        raise CommandRefused(
            "Invalid '--server'; give the address of a coordinator, like 'https://coordinator.example', "
            "without a user, a password or a query."
        )
    return server.rstrip("/")


def _check_token(token: str) -> str:
    if not all("!" <= character <= "~" for character in token):
        raise CommandRefused("TEST_COORDINATOR_TOKEN contains characters that are not allowed in a token.")
    return token
