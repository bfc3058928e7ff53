"""Requests and responses of the API, without a connection: what both clients have in common."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

from coordinator_client.errors import (
    CoordinatorError,
    NotAuthenticatedError,
    NotSupportedError,
    RefusedError,
    UnavailableError,
    UnexpectedAnswerError,
    build_refusal,
)
from coordinator_client.version import __version__

CONNECT_SECONDS, WHOLE_SECONDS = 5.0, 120.0
MAX_BYTES = 64 * 1024 * 1024
MAX_TRIES = 3
MAX_DELAY = 10.0
PAGE_SIZE = 200
ASKED_TO_WAIT = {429, 503}
UNAVAILABLE = ASKED_TO_WAIT | {502, 504}
NO_CONTENT, MULTIPLE_CHOICES, BAD_REQUEST, SERVER_ERROR, NOT_FOUND = 204, 300, 400, 500, 404
PROBLEM_TYPE = "problem+json"
MERGE_PATCH = "application/merge-patch+json"
_KEY = re.compile("[!-~]{1,255}")
# Ten digits would be more than 30 years.
_MAX_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Call:
    """One request. With an Idempotency-Key, a write can be sent again although it was perhaps done."""

    method: str
    path: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_safe(self) -> bool:
        return self.method == "GET" or "Idempotency-Key" in self.headers

    @property
    def target(self) -> str:
        query = urlencode({name: _write(value) for name, value in self.parameters.items()})
        return f"{self.path}?{query}" if query else self.path


def _write(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def build_call(
    method: str,
    path: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    body: Any = None,
    document: bytes | None = None,
    repeatable: bool = True,
    key: str = "",
    headers: Mapping[str, str] | None = None,
) -> Call:
    """`document` is sent as YAML, `body` as JSON. `repeatable` is false where the API takes no key.

    `key` is the Idempotency-Key; without one, it is new.
    """
    sent = {"Accept": "application/json", "User-Agent": f"test-coordinator-client/{__version__}"}
    content = b""
    if document is not None:
        content, sent["Content-Type"] = document, "application/yaml"
    elif body is not None:
        content, sent["Content-Type"] = json.dumps(body).encode(), "application/json"
    if method != "GET" and repeatable:
        sent["Idempotency-Key"] = check_key(key or str(uuid4()))  # the same for every try
    given = {name: value for name, value in (parameters or {}).items() if value not in (None, "")}
    return Call(method, path, given, content, {**sent, **(headers or {})})


def check_key(key: str) -> str:
    """Raises ValueError: the key has characters that no header may have, or too many."""
    if not _KEY.fullmatch(key):
        raise ValueError(
            f"invalid idempotency key {key[:80]!r}; use 1 to 255 visible ASCII characters, for example a UUID"
        )
    return key


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self, server: str = "The coordinator") -> Any:
        """The body; None if there is none.

        Raises:
            UnexpectedAnswerError: it is not JSON. `server` is named there.
        """
        if self.status == NO_CONTENT:
            return None
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            kind = self.headers.get("content-type", "no content type")
            what = "JSON that is not valid" if "json" in kind else f"{kind!r} instead of JSON"
            error = UnexpectedAnswerError(server, f"{self.status} with {what}")
            error.status = self.status
            raise error from None


def find_delay(call: Call, response: Response) -> float | None:
    """The seconds that the server asks to wait before the next try; None if the response is final.

    429 and 503 with `Retry-After` say that nothing was done; after 502 or 504 it may have been.
    """
    if response.status not in UNAVAILABLE:
        return None
    asked = parse_retry_after(response.headers.get("retry-after", ""), datetime.now(UTC))
    refused = response.status in ASKED_TO_WAIT and "retry-after" in response.headers
    if not (call.is_safe or refused):
        return None
    return min(asked, MAX_DELAY)


def parse_retry_after(value: str, now: datetime) -> float:
    """Seconds (RFC 9110, 10.2.3); 0 if the value is not valid, or the date is in the past."""
    value = value.strip()
    if value.isascii() and value.isdecimal():
        return float(value) if len(value) <= _MAX_DIGITS else 0.0
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:  # 'asctime' or '-0000', which both mean UTC
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())


def check_response(server: str, response: Response) -> Response:
    """The response, if it is not an error.

    Raises:
        RefusedError: the API refused the request.
        UnavailableError: it asks to be left alone, or a proxy cannot reach it.
        UnexpectedAnswerError: something else than a coordinator has answered.
    """
    if response.status < MULTIPLE_CHOICES:
        return response
    error = _find_error(server, response)
    error.response = response
    raise error


def _find_error(server: str, response: Response) -> CoordinatorError:
    status = response.status
    if status < BAD_REQUEST:
        where = response.headers.get("location", "")
        return UnexpectedAnswerError(server, f"with a redirect to {where!r}, which is not followed")
    refusal = _read_problem(server, response)
    if status not in UNAVAILABLE:
        return refusal
    error = UnavailableError(f"{server}: {refusal}")
    error.status, error.code = status, refusal.code or error.code
    error.__cause__ = refusal
    return error


def _read_problem(server: str, response: Response) -> CoordinatorError:
    status = response.status
    if PROBLEM_TYPE not in response.headers.get("content-type", ""):
        if status in UNAVAILABLE:
            return RefusedError(f"it answered {status}.", status=status)
        if status >= SERVER_ERROR:
            return RefusedError(f"{server} answered {status} without a reason.", status=status)
        return UnexpectedAnswerError(server, f"{status} without a reason")
    found = response.json(server)
    try:
        sentence, code = str(found["detail"]), str(found.get("code", ""))
        errors = [item for item in found.get("errors", []) if isinstance(item, dict)]
    except (KeyError, TypeError, AttributeError):
        return UnexpectedAnswerError(server, f"{status} without a reason")
    refusal = build_refusal(sentence, status=status, code=code, errors=errors)
    return _explain(server, refusal)


def _explain(server: str, refusal: RefusedError) -> RefusedError:
    if isinstance(refusal, NotAuthenticatedError):
        sentence = f"{refusal} Set the token in TEST_COORDINATOR_TOKEN, or in the profile."
    elif isinstance(refusal, NotSupportedError):
        sentence = f"{refusal} Perhaps {server} is older than this client, or not a coordinator."
    else:
        return refusal
    kind = type(refusal)
    return kind(sentence, status=refusal.status or 0, code=refusal.code, errors=refusal.errors)


def describe_cause(error: BaseException) -> str:
    """The innermost error's message, because the libraries wrap the cause several times."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = error.__cause__ or error.__context__
        if inner is None:
            first = error.args[0] if error.args else None
            inner = first if isinstance(first, BaseException) else None
        if inner is None or not str(inner):
            break
        error = inner
    return str(getattr(error, "strerror", None) or error or type(error).__name__).rstrip(".")
