"""What is answered to HEAD is what GET would say, without the content."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import RequestFactory

from coordinator_site.head_requests import HeadMiddleware

# Django looks at its database connections when a response is closed.
pytestmark = pytest.mark.django_db


class Content:
    """An iterator that tells whether it was closed."""

    def __init__(self) -> None:
        self.is_closed = False

    def __iter__(self) -> "Content":
        return self

    def __next__(self) -> bytes:
        return b"endless"

    def close(self) -> None:
        self.is_closed = True


def ask(method: str, response: Any) -> Any:
    return HeadMiddleware(lambda _request: response)(RequestFactory().generic(method, "/"))


def test_head_has_the_length_and_no_content() -> None:
    response = ask("HEAD", HttpResponse("content"))
    assert (response.content, response["Content-Length"]) == (b"", "7")


@pytest.mark.parametrize("code", [204, 304])
def test_response_without_content_has_no_length(code: int) -> None:
    assert "Content-Length" not in ask("HEAD", HttpResponse(status=code))


def test_other_methods_are_left_alone() -> None:
    assert ask("GET", HttpResponse("content")).content == b"content"


def test_a_stream_sends_nothing_and_is_closed() -> None:
    content = Content()
    response = ask("HEAD", StreamingHttpResponse(content))
    assert list(response) == []
    response.close()
    assert content.is_closed


def test_a_file_is_not_sent_by_the_servers_own_means_either() -> None:
    with open(__file__, "rb") as file:  # noqa: PTH123 - the response closes it
        response = ask("HEAD", FileResponse(file))
        assert response.file_to_stream is None
        assert list(response) == []
        assert int(response["Content-Length"]) > 100
        response.close()
        assert file.closed


def test_an_async_stream_sends_nothing() -> None:
    async def content() -> AsyncIterator[bytes]:
        yield b"content"

    async def view(_request: HttpRequest) -> StreamingHttpResponse:
        return StreamingHttpResponse(content())

    async def taken() -> list[bytes]:
        answer: Any = HeadMiddleware(view)(RequestFactory().head("/"))
        return [part async for part in await answer]

    assert asyncio.run(taken()) == []
