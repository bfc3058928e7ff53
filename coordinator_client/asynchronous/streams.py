"""Reads streams of Server-Sent Events, over as many connections as it takes."""

from asyncio import sleep
from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any

from coordinator_client.asynchronous.transport import AsyncTransport, read_headers
from coordinator_client.errors import UnavailableError, UnexpectedAnswerError
from coordinator_client.exchanges import NO_CONTENT, Response, build_call, check_response
from coordinator_client.following import E, FollowedStream

# A stream sends something every 5 seconds; the server ends it after 20.
WAIT_SECONDS, SILENCE_SECONDS = 20, 15.0


async def watch_stream(
    transport: AsyncTransport,
    followed: FollowedStream[E],
    path: str,
    filters: Mapping[str, Any] | None = None,
    *,
    until: float | None = None,
) -> AsyncIterator[E | None]:
    """Yield each event once, and None after each silence of seconds, until the stream has ended.

    `until` is a time of `time.monotonic`.

    Raises:
        UnavailableError: the coordinator has not responded for `followed.max_outage` seconds.
    """
    while not followed.has_ended and (until is None or monotonic() < until):
        began = monotonic()
        try:
            async for event in _read_stream(transport, followed, path, filters or {}, until):
                yield event
        except UnavailableError:
            delay = followed.note_outage()
            if delay is None:
                raise
        else:
            delay = followed.choose_pause(monotonic() - began)
        if not followed.has_ended:
            yield None
            await sleep(delay)


async def _read_stream(
    transport: AsyncTransport,
    followed: FollowedStream[E],
    path: str,
    filters: Mapping[str, Any],
    until: float | None,
) -> AsyncIterator[E | None]:
    left = WAIT_SECONDS if until is None else max(1, min(WAIT_SECONDS, round(until - monotonic())))
    headers = {"Accept": "text/event-stream"}
    if followed.last_id:
        headers["Last-Event-ID"] = followed.last_id
    call = build_call("GET", path, parameters={**filters, "wait": left}, headers=headers)
    async with transport.open(call, SILENCE_SECONDS) as answer:
        if answer.status == NO_CONTENT:
            followed.has_ended = True
            return
        received = read_headers(answer)
        if "event-stream" not in received.get("content-type", ""):
            check_response(transport.server, Response(answer.status, received, await answer.aread()))
            kind = received.get("content-type", "no content type")
            raise UnexpectedAnswerError(
                transport.server, f"{answer.status} with {kind!r} instead of a stream"
            )
        followed.begin()
        async for content in answer.aiter_stream():
            found = followed.read(content)
            for event in found:
                yield event
            if followed.has_ended:
                return
            if not found:
                yield None
