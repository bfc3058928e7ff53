"""Sends requests to the API server of a cluster, and reads what it answers.

aiohttp is imported when a step runs: importing it takes 0.3 s, too long for web requests and commands.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from scenarios.domain import log_context
from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepNotDone, StepNotSent
from scenarios.domain.matchers import format_value
from scenarios.domain.retry_after import parse_retry_after
from scenarios.drivers.kubernetes import exec_plugin
from scenarios.drivers.kubernetes.clusters import Cluster
from scenarios.drivers.kubernetes.refusals import Request, explain

if TYPE_CHECKING:
    import aiohttp

# Seconds to wait if an overloaded server does not say how long.
DEFAULT_REST_SECONDS = 1.0
_OVERLOADED = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
_READS = frozenset({"get", "list"})
Object = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to one API server. All of them together may take `seconds`."""

    def __init__(self, cluster: Cluster, session: "aiohttp.ClientSession", seconds: float) -> None:
        self.cluster = cluster
        self.name = f"the API server of {cluster.name!r}"
        self._session = session
        self._deadline = asyncio.get_running_loop().time() + seconds
        self._seconds = seconds
        self._ahead = 0.0

    @property
    def left(self) -> float:
        """How many of the seconds are left."""
        return max(0.0, self._deadline - asyncio.get_running_loop().time())

    def now(self) -> datetime:
        """The time by the server's clock, as of its last answer, on which all users of the cluster agree."""
        return datetime.fromtimestamp(datetime.now(UTC).timestamp() + self._ahead, UTC)

    async def send(
        self,
        method: str,
        asked: Request,
        words: Mapping[str, str] | None = None,
        *,
        path: str = "",
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Object:
        """What the server answers. While time is left, one that is overloaded is asked again when it says.

        Raises:
            Refusal: it answered that it did not do it.
            StepFailed: it did not answer, or it may have done it.
        """
        url = self.cluster.server + (path or asked.path)
        parameters = {word: value for word, value in (words or {}).items() if value}
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": accept, "User-Agent": "test-coordinator"}
        if data is not None:
            headers["Content-Type"] = content_type
        renewed = False
        while True:
            headers["Authorization"] = await self._authorize(again=renewed)
            answer = await self._exchange(method, url, parameters, headers, data)
            if answer.status == HTTPStatus.UNAUTHORIZED and self.cluster.plugin is not None and not renewed:
                renewed = True
                continue
            if answer.status not in _OVERLOADED or asked.subresource:
                return self._read(answer, asked)
            rest = parse_retry_after(answer.headers, datetime.now(UTC)) or DEFAULT_REST_SECONDS
            if rest >= self.left:
                self._raise_overloaded(answer, asked, rest)
            await asyncio.sleep(rest)

    def _raise_overloaded(self, answer: _Answer, asked: Request, rest: float) -> None:
        sentence = (
            f"{self.name} answered {answer.status} to {asked}: it is overloaded, and asks to be left alone "
            f"for {format_duration(rest)}"
        )
        # It turns a request away with 429 before it is done; what is in front of it may answer 503 later.
        is_not_done = answer.status == HTTPStatus.TOO_MANY_REQUESTS or asked.verb in _READS
        raise (StepNotDone if is_not_done else StepFailed)(sentence, retry_after=rest)

    async def _authorize(self, *, again: bool) -> str:
        token = self.cluster.token
        if self.cluster.plugin is not None:
            token = await exec_plugin.read_token(self.cluster.plugin, again=again)
        if not token:
            return ""
        log_context.redactor.learn(token)
        return f"Bearer {token}"

    async def _exchange(
        self, method: str, url: str, words: Mapping[str, str], headers: Mapping[str, str], data: bytes | None
    ) -> _Answer:
        import aiohttp  # noqa: PLC0415

        sent = {name: value for name, value in headers.items() if value}
        try:
            async with asyncio.timeout(self.left):
                request = self._session.request(
                    method,
                    url,
                    params=words,
                    headers=sent,
                    data=data,
                    allow_redirects=False,
                    server_hostname=self.cluster.tls.server_name or None,
                )
                async with request as response:
                    body = await response.content.read(-1)
                    answer = _Answer(response.status, dict(response.headers), body)
        except TimeoutError as error:
            raise StepFailed(
                f"{self.name} did not answer {method} within {format_duration(self._seconds)}"
            ) from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise StepNotSent(
                f"{self.name} has a certificate that is not trusted: {error.certificate_error}; correct "
                "'certificate-authority' in the kubeconfig"
            ) from error
        except aiohttp.ClientConnectorError as error:
            reason = error.os_error.strerror or error.os_error
            raise StepNotSent(f"{self.name} at {self.cluster.server} cannot be reached: {reason}") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            raise StepFailed(f"{self.name} closed the connection without an answer: {reason}") from error
        self._note_time(answer.headers)
        return answer

    def _note_time(self, headers: Mapping[str, str]) -> None:
        try:
            there = parsedate_to_datetime(headers.get("Date", ""))
        except ValueError:
            return
        ahead = (there - datetime.now(UTC)).total_seconds()
        # The header has whole seconds: a difference below one may be none.
        self._ahead = ahead if abs(ahead) > 1.0 else 0.0

    def _read(self, answer: _Answer, asked: Request) -> Object:
        try:
            content = json.loads(answer.body)
        except (ValueError, RecursionError):
            content = None
        if content is None and answer.status == HTTPStatus.NOT_FOUND and not asked.resource.plural:
            content = {"message": "it has no such version of the API"}  # which it answers as plain text
        if not isinstance(content, dict):
            raise StepFailed(
                f"{self.name} answered {answer.status} to {asked}, and no JSON object: {self.cluster.server} "
                "is not the address of an API server"
            )
        if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            said = format_value(str(content.get("message") or ""))
            raise StepFailed(f"{self.name} answered {answer.status} to {asked}: {said}")
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise explain(self.name, asked, answer.status, content)
        return content
