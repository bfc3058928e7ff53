"""One exchange with a web server: with limits on what it sends, and a sentence for every kind of failure.

aiohttp is imported when a step runs: importing it takes 0.3 s, too long for web requests and commands.
"""

import asyncio
import codecs
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.domain.expectations import format_value
from scenarios.domain.tls_contexts import explain_refusal
from scenarios.drivers.cookies import KeptCookies
from scenarios.drivers.gate import AddressInfo, admit, build_pinned_resolver, get_secret_arguments, is_undo
from scenarios.drivers.redirects import READING_METHODS, Hop
from scenarios.ports import Platform

if TYPE_CHECKING:
    import aiohttp

MAX_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`elapsed` is in seconds; `is_cut` if the body has more than MAX_BODY_BYTES bytes.

    `method` is the method of the last request, which a redirect may have changed to GET.
    """

    status: int
    headers: dict[str, str]
    body: str
    is_cut: bool
    elapsed: float
    method: str


def check_web_address(text: str) -> str:
    """Return the text if it is an http(s) URL, or raise ValueError."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError(
            f"{text[:80]!r} is not a URL for this step: it must begin with 'http://' or 'https://'"
        )
    if parts.port == 0:
        raise ValueError(f"{text[:80]!r} has port 0: use 1 to 65535")
    return text


async def exchange(
    method: str,
    url: str,
    *,
    name: str,
    seconds: float,
    platform: Platform | None = None,
    follow_redirects: bool = False,
    reads: bool = False,
    headers: Mapping[str, str],
    data: Any = None,
    params: Any = None,
    tls: ssl.SSLContext | None = None,
    cookies: KeptCookies | None = None,
) -> Answer:
    """Send a request and follow redirects, if allowed. `name` is the name of the target in messages.

    Each connection passes the gate of the platform; `reads` tells the gate that nothing is changed there.
    `tls` and `cookies` are for the first origin only.

    Raises:
        StepNotSent: no connection could be made.
        StepImpossible: the URL is not valid, or the run may not touch what is there.
        StepFailed: there was no response, or it could not be read.
    """
    import aiohttp  # noqa: PLC0415
    from yarl import URL  # noqa: PLC0415

    started = time.perf_counter()
    hop: Hop | None = None
    try:
        secret_body = bool({"json", "body"} & get_secret_arguments(platform))
        address = URL(url)
        if "Authorization" in headers:
            address = address.with_user(None)  # the words of a step win over the address of its service
        hop = Hop(method, address, headers, data, body_is_secret=secret_body, tls=tls, cookies=cookies)
        resolver = build_pinned_resolver()
        async with asyncio.timeout(seconds), _open_session(resolver) as session:
            while True:
                resolver.found = await _admit(hop, name, platform, reads=reads)
                answer = await _request(session, hop, started, params=params if hop.number == 0 else None)
                location = _find_location(answer) if follow_redirects else None
                following = hop.next(answer.status, location, name)
                if following is None:
                    return answer
                hop = following
    except TimeoutError as error:
        raise StepFailed(f"{name} did not answer within {format_duration(seconds)}") from error
    except aiohttp.InvalidURL as error:
        reason = error.description or "it cannot be read"
        raise StepImpossible(f"{url[:80]!r} is not a URL: {reason}") from error
    except aiohttp.ClientConnectorError as error:
        # After a redirect, the first request has reached a target.
        unsent = StepFailed if hop is not None and hop.number else StepNotSent
        raise unsent(f"{name} {_explain_connection_error(error)}") from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise StepFailed(f"{name} {_explain_read_error(error)}") from error


async def _admit(hop: Hop, name: str, platform: Platform | None, *, reads: bool) -> list[AddressInfo]:
    """The addresses that the client connects to for this request."""
    host, port = hop.url.raw_host or "", hop.url.port or 0
    undoes_no_more = hop.number > 0 and hop.method in READING_METHODS and is_undo(platform)
    try:
        return await admit(host, port, platform, reads=reads or undoes_no_more, was_sent=hop.was_sent)
    except (OSError, UnicodeError) as error:
        unsent = StepFailed if hop.number else StepNotSent
        raise unsent(f"{name} has a host name that cannot be resolved: {host!r}") from error


async def _request(session: "aiohttp.ClientSession", hop: Hop, started: float, *, params: Any) -> Answer:
    kept = hop.cookies.build_header(hop.url) if hop.cookies is not None else {}
    request = session.request(
        hop.method,
        hop.url,
        headers={**kept, **hop.headers},
        data=hop.body,
        params=params,
        allow_redirects=False,
        ssl=True if hop.tls is None else hop.tls,
    )
    async with request as response:
        if hop.cookies is not None:
            hop.cookies.note(hop.url, response.cookies)
        body, is_cut = await _read_body(response)
        return Answer(
            status=response.status,
            headers=_read_headers(response),
            body=_decode(body, _choose_encoding(response)),
            is_cut=is_cut,
            elapsed=time.perf_counter() - started,
            method=hop.method,
        )


def _find_location(answer: Answer) -> str | None:
    return next((value for name, value in answer.headers.items() if name.lower() == "location"), None)


def _open_session(resolver: Any) -> "aiohttp.ClientSession":
    """One session per request, so that no connection, cookie or proxy setting is shared with another."""
    import aiohttp  # noqa: PLC0415

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, resolver=resolver, use_dns_cache=False),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        trust_env=False,
    )


async def _read_body(response: "aiohttp.ClientResponse") -> tuple[bytes, bool]:
    """The beginning of the body, and whether there was more."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            return b"".join(chunks)[:MAX_BODY_BYTES], True
    return b"".join(chunks), False


def _decode(body: bytes, encoding: str) -> str:
    try:
        return body.decode(encoding, "replace")
    except UnicodeError:
        return body.decode("utf-8", "replace")  # some codecs, such as `idna`, replace nothing


def _choose_encoding(response: "aiohttp.ClientResponse") -> str:
    try:
        codec = codecs.lookup(response.charset or "utf-8")
    except (LookupError, ValueError):
        return "utf-8"
    # Some codecs, such as `hex`, decode bytes to bytes.
    return codec.name if getattr(codec, "_is_text_encoding", True) else "utf-8"


def _read_headers(response: "aiohttp.ClientResponse") -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        readable = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        headers[name] = f"{headers[name]}, {readable}" if name in headers else readable
    return headers


def _explain_connection_error(error: "aiohttp.ClientConnectorError") -> str:
    if isinstance(error.os_error, ConnectionRefusedError):
        return "refused the connection"
    if sentence := explain_refusal(getattr(error, "certificate_error", error.os_error)):
        return sentence
    return f"cannot be reached: {error.os_error.strerror or error.os_error}"


def _explain_read_error(error: Exception) -> str:
    import aiohttp  # noqa: PLC0415

    if sentence := explain_refusal(error.__cause__):
        return sentence
    closed = (aiohttp.ServerDisconnectedError, ConnectionError)
    if isinstance(error, closed) or isinstance(error.__cause__, ConnectionError):
        return "closed the connection without a response"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "closed the connection in the middle of its response"
    reason = getattr(error, "message", "") or str(error) or type(error).__name__
    return f"sent a response that is not HTTP: {format_value(reason.strip().partition(chr(10))[0])}"
