"""A request whose client goes away is counted once, and is no longer in progress, by WSGI and by ASGI."""

from collections.abc import Callable
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest
from asgiref.testing import ApplicationCommunicator
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application

from metrics_app.ports import MetricsPort
from tests.exposition import value


def counted(metrics: MetricsPort, **labels: str) -> float:
    return value(metrics.get_http_handler()(), "http_requests_total", **labels)


def in_progress(metrics: MetricsPort) -> float:
    return value(metrics.get_http_handler()(), "http_requests_in_progress")


def answered_by_wsgi(path: str, **environ: Any) -> Any:
    """What the application gives to the server, which closes it when the client is gone."""
    setup_testing_defaults(environ)
    environ.update(PATH_INFO=path, HTTP_HOST="testserver")
    return get_wsgi_application()(environ, lambda *_: None)  # type: ignore[arg-type]


async def asked_by_asgi(path: str) -> ApplicationCommunicator:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    communicator = ApplicationCommunicator(get_asgi_application(), scope)
    await communicator.send_input({"type": "http.request", "body": b""})
    return communicator


def test_wsgi_stream_closed_after_its_first_part(metrics: MetricsPort) -> None:
    answer = answered_by_wsgi("/stream")
    assert next(iter(answer)) == b"one"
    assert in_progress(metrics) == 1
    answer.close()
    answer.close()
    assert counted(metrics, route="stream", code="200") == counted(metrics) == 1
    assert in_progress(metrics) == 0


@pytest.mark.parametrize("wrapper", [{}, {"wsgi.file_wrapper": FileWrapper}], ids=["parts", "sendfile"])
def test_wsgi_file_closed_before_its_end(
    metrics: MetricsPort, wrapper: dict[str, Callable[..., Any]]
) -> None:
    answer = answered_by_wsgi("/file", **wrapper)
    assert isinstance(answer, FileWrapper) is bool(wrapper)
    answer.close()
    assert counted(metrics, route="file", code="200") == counted(metrics) == 1
    assert in_progress(metrics) == 0


async def test_asgi_stream_whose_client_leaves_after_its_first_part(metrics: MetricsPort) -> None:
    communicator = await asked_by_asgi("/stream-endless")
    assert (await communicator.receive_output(30))["type"] == "http.response.start"
    assert (await communicator.receive_output(30))["body"] == b"one"
    assert in_progress(metrics) == 1
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(30)
    assert counted(metrics, route="stream-endless", code="200") == counted(metrics) == 1
    assert in_progress(metrics) == 0


async def test_asgi_view_whose_client_leaves_before_the_response(metrics: MetricsPort) -> None:
    communicator = await asked_by_asgi("/wait")
    await communicator.send_input({"type": "http.disconnect"})
    await communicator.wait(30)
    assert counted(metrics, code="499") == counted(metrics) == 1
    assert in_progress(metrics) == 0
