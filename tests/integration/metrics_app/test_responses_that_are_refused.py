"""A stream that the server cannot or will not send is counted once, as an error, and not in progress."""

import gc
from collections.abc import Callable, Iterator
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from metrics_app.ports import MetricsPort
from tests.exposition import value

# Nobody closes these responses, so what Django opened for them is closed when it is collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def _collected_here() -> Iterator[None]:
    """Else a later test is blamed for what is collected during it."""
    yield
    gc.collect()


def scrape(metrics: MetricsPort) -> bytes:
    return metrics.get_http_handler()()


def assert_one_error(metrics: MetricsPort) -> None:
    text = scrape(metrics)
    assert value(text, "http_requests_in_progress") == 0
    assert value(text, "http_requests_total") == value(text, "http_requests_total", code="500") == 1


def refuse(*_: object) -> Callable[[bytes], object]:
    raise ValueError("control character in a header")


@pytest.mark.parametrize("path", ["/stream", "/file"])
def test_a_stream_whose_headers_a_wsgi_server_refuses(metrics: MetricsPort, path: str) -> None:
    environ: dict[str, Any] = {"PATH_INFO": path, "HTTP_HOST": "testserver"}
    setup_testing_defaults(environ)
    with pytest.raises(ValueError, match="control character"):
        get_wsgi_application()(environ, refuse)
    gc.collect()
    assert_one_error(metrics)


def test_a_stream_that_a_wsgi_server_lets_go_of_without_closing_it(metrics: MetricsPort) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/stream", "HTTP_HOST": "testserver"}
    setup_testing_defaults(environ)
    answer = get_wsgi_application()(environ, lambda *_: None)  # type: ignore[arg-type]
    assert next(iter(answer)) == b"one"
    del answer
    gc.collect()
    assert_one_error(metrics)


class BrokenPipe:
    """An ASGI server whose `send` raises at the message of this number."""

    def __init__(self, number: int) -> None:
        self._left = number

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def broken(message: Any) -> None:
            if not self._left:
                raise OSError("connection lost")
            self._left -= 1
            await send(message)

        await get_asgi_application()(scope, receive, broken)


@pytest.mark.parametrize("number", [0, 1, 2], ids=["start", "first part", "second part"])
@pytest.mark.parametrize("path", ["/stream-async", "/stream-endless"])
async def test_a_stream_that_asgi_cannot_send(metrics: MetricsPort, number: int, path: str) -> None:
    if path == "/stream-endless" and number > 1:
        return  # it has one part
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    gc.disable()  # it must not take a collection of garbage
    try:
        communicator = ApplicationCommunicator(BrokenPipe(number), scope)
        await communicator.send_input({"type": "http.request", "body": b""})
        with pytest.raises(OSError, match="connection lost"):
            await communicator.wait(30)
        assert_one_error(metrics)
    finally:
        gc.enable()


def test_a_stream_that_was_sent_and_closed_is_not_counted_again(metrics: MetricsPort) -> None:
    environ: dict[str, Any] = {"PATH_INFO": "/stream", "HTTP_HOST": "testserver"}
    setup_testing_defaults(environ)
    answer: Any = get_wsgi_application()(environ, lambda *_: None)  # type: ignore[arg-type]
    assert list(answer) == [b"one", b"two", b"three"]
    answer.close()
    del answer
    gc.collect()
    text = scrape(metrics)
    assert value(text, "http_requests_total") == value(text, "http_requests_total", code="200") == 1
