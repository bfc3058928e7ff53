"""A small site with sync and async views, for tests of request metrics."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import include, path

CHUNKS = (b"one", b"two", b"three")


def answer(_request: HttpRequest, code: int = 200) -> HttpResponse:
    return HttpResponse("ok", status=code)


async def answer_async(_request: HttpRequest) -> HttpResponse:
    return HttpResponse("ok")


def fail(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("broken on purpose")


async def cancelled(_request: HttpRequest) -> HttpResponse:
    raise asyncio.CancelledError


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter(CHUNKS))


def stream_that_breaks(_request: HttpRequest) -> StreamingHttpResponse:
    def content() -> Iterator[bytes]:
        yield b"one"
        raise RuntimeError("broken on purpose")

    return StreamingHttpResponse(content())


async def stream_async(request: HttpRequest) -> StreamingHttpResponse:
    async def content() -> AsyncIterator[bytes]:
        for chunk in CHUNKS:
            yield chunk
        if "break" in request.GET:
            raise RuntimeError("broken on purpose")

    return StreamingHttpResponse(content())


async def stream_endless(_request: HttpRequest) -> StreamingHttpResponse:
    async def content() -> AsyncIterator[bytes]:
        yield CHUNKS[0]
        await asyncio.Event().wait()

    return StreamingHttpResponse(content())


async def wait_endlessly(_request: HttpRequest) -> HttpResponse:
    await asyncio.Event().wait()
    return HttpResponse("never")


def file(_request: HttpRequest) -> FileResponse:
    return FileResponse(Path(__file__).open("rb"))


nested = [path("item/<int:code>", answer, name="item")]

urlpatterns = [
    path("", answer, name="home"),
    path("async", answer_async, name="async"),
    path("unnamed/<int:code>", answer),
    path("shop/", include((nested, "shop"))),
    path("fail", fail, name="fail"),
    path("cancelled", cancelled, name="cancelled"),
    path("stream", stream, name="stream"),
    path("stream-breaks", stream_that_breaks, name="stream-breaks"),
    path("stream-async", stream_async, name="stream-async"),
    path("stream-endless", stream_endless, name="stream-endless"),
    path("wait", wait_endlessly, name="wait"),
    path("file", file, name="file"),
    path("metrics", include("metrics_app.urls")),
]
