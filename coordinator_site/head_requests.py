"""Answers to HEAD have no content: servers leave it out, and gunicorn warns of each."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import FileResponse, HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase


class HeadMiddleware:
    """Stands outside of whatever else writes content or measures its length."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        response: HttpResponseBase = self._get_response(request)
        return remove_content(response) if request.method == "HEAD" else response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        response: HttpResponseBase = await self._get_response(request)
        return remove_content(response) if request.method == "HEAD" else response


def remove_content(response: HttpResponseBase) -> HttpResponseBase:
    """The response without its content, and with the length that this has where it is known."""
    if isinstance(response, StreamingHttpResponse):
        # What the content holds open is closed with the response.
        if isinstance(response, FileResponse):
            response.file_to_stream = None
        response.streaming_content = _nothing() if response.is_async else iter(())
        return response
    content: bytes = getattr(response, "content", b"")
    if content:
        response.headers.setdefault("Content-Length", str(len(content)))
        response.content = b""  # type: ignore[attr-defined]
    return response


async def _nothing() -> AsyncIterator[bytes]:
    no_parts: tuple[bytes, ...] = ()
    for part in no_parts:
        yield part
