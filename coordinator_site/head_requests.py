"""Responses to HEAD have no content. Servers drop it, and gunicorn logs a warning for each."""

from collections.abc import AsyncIterator

from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase

from coordinator_site.middleware import Middleware


class HeadMiddleware(Middleware):
    """Must stand outside everything that writes content or measures its length."""

    def finish(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        return remove_content(response) if request.method == "HEAD" else response


def remove_content(response: HttpResponseBase) -> HttpResponseBase:
    """Empty the response and set the length of its content, if that is known."""
    if isinstance(response, StreamingHttpResponse):
        # Files that the content holds open are closed with the response.
        if isinstance(response, FileResponse):
            response.file_to_stream = None
        response.streaming_content = _yield_nothing() if response.is_async else iter(())
        return response
    content: bytes = getattr(response, "content", b"")
    if content:
        response.headers.setdefault("Content-Length", str(len(content)))
        response.content = b""  # type: ignore[attr-defined]
    return response


async def _yield_nothing() -> AsyncIterator[bytes]:
    no_parts: tuple[bytes, ...] = ()
    for part in no_parts:
        yield part
