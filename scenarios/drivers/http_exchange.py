"""One exchange with a web server, bounded whatever it sends, and a sentence for whatever goes wrong.

aiohttp is imported when a step runs: it costs 0.3 s, which no web request and no command should pay.
"""

import asyncio
import codecs
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.expectations import shown

if TYPE_CHECKING:
    import aiohttp

MOST_BODY = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`elapsed` is in seconds; `is_cut` where the body went on after MOST_BODY bytes."""

    status: int
    headers: dict[str, str]
    body: str
    is_cut: bool
    elapsed: float


def web_address(text: str) -> str:
    """The same text. Raises ValueError where it is no http(s) URL."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(f"{text[:80]!r} is no address for this step: it begins with 'http://' or 'https://'")
    if parts.port == 0:
        raise ValueError(f"{text[:80]!r} has the port 0: it is 1 to 65535")
    return text


async def exchange(method: str, url: str, *, name: str, seconds: float, **request: Any) -> Answer:
    """Ask once. `name` is how the target is spoken of; `request` goes to aiohttp.

    Raises:
        StepNotSent: no connection could be made.
        StepImpossible: the URL makes no sense.
        StepFailed: there was no answer, or none that can be read.
    """
    import aiohttp  # noqa: PLC0415

    started = time.perf_counter()
    try:
        async with (
            asyncio.timeout(seconds),
            _session() as session,
            session.request(method, url, **request) as response,
        ):
            body, is_cut = await _bounded_body(response)
            return Answer(
                status=response.status,
                headers=_readable_headers(response),
                body=body.decode(_encoding(response), "replace"),
                is_cut=is_cut,
                elapsed=time.perf_counter() - started,
            )
    except TimeoutError as error:
        raise StepFailed(f"{name} did not answer within {format_duration(seconds)}") from error
    except aiohttp.RedirectClientError as error:  # some are InvalidURLs, too, but somebody was reached
        raise StepFailed(f"{name} {_why_not_read(error)}") from error
    except aiohttp.InvalidURL as error:
        reason = error.description or "it cannot be read"
        raise StepImpossible(f"{url[:80]!r} is no address: {reason}") from error
    except aiohttp.ClientConnectorError as error:
        # After a redirect, the first request did reach somebody.
        unsent = StepFailed if request.get("allow_redirects", True) else StepNotSent
        raise unsent(f"{name} {_why_not_connected(error)}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise StepFailed(f"{name} {_why_not_read(error)}") from error


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
