"""Names, extra labels and details of requests in applications without Django."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from metrics_app import backend, current, standalone
from metrics_app.asgi import RequestMetrics as AsgiMetrics
from metrics_app.observed_request import parse_size
from metrics_app.ports import AdapterSettingsError
from metrics_app.request_metrics import declare_request_metrics
from metrics_app.wsgi import RequestMetrics as WsgiMetrics
from tests.exposition import samples, value

MEMORY = "metrics_app.adapters.memory.InMemoryMetricsAdapter"
PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"


@pytest.fixture(autouse=True)
def _no_django(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(current, "_setup", None)
    monkeypatch.setattr(current, "adapter", None)
    monkeypatch.setattr(standalone, "_used", None)
    yield
    standalone.forget()
    declare_request_metrics(backend.request_options())


async def asgi_app(scope: Any, _receive: Any, send: Any) -> None:
    if scope["path"] == "/fail":
        raise KeyError("on purpose")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"7")]})
    if scope["path"] == "/file":
        await send({"type": "http.response.pathsend", "path": "/file"})
        return
    await send({"type": "http.response.body", "body": b"four", "more_body": True})
    await send({"type": "http.response.body", "body": b"six"})


def ask_asgi(path: str, **settings: Any) -> None:
    middleware = AsgiMetrics(asgi_app, route=lambda scope: scope["path"], **settings)
    headers = [(b"content-length", b"12"), (b"x-tenant", b"blue")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "scheme": "https"}

    async def send(_message: Any) -> None: ...

    asyncio.run(middleware(scope, None, send))  # type: ignore[arg-type]


def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if environ["PATH_INFO"] == "/fail":
        raise KeyError("on purpose")
    start_response("200 OK", [("Content-Length", "7")])
    return iter([b"four", b"six"])


def ask_wsgi(path: str, **settings: Any) -> None:
    middleware = WsgiMetrics(wsgi_app, route=lambda environ: environ["PATH_INFO"], **settings)
    environ: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": "POST",
        "CONTENT_LENGTH": "12",
        "HTTP_X_TENANT": "blue",
        "wsgi.url_scheme": "https",
    }
    setup_testing_defaults(environ)
    list(middleware(environ, lambda *_: None))  # type: ignore[arg-type]


def find_tenant(request: dict[str, Any]) -> str:
    if "headers" in request:
        found: bytes = dict(request["headers"])[b"x-tenant"]
        return found.decode()
    return str(request["HTTP_X_TENANT"])


def expose() -> bytes:
    text: bytes = current.get_metrics().get_http_handler()()
    return text


asked = pytest.mark.parametrize("ask", [ask_asgi, ask_wsgi])
adapters = pytest.mark.parametrize("backend_path", [MEMORY, PROMETHEUS])
Ask = Callable[..., None]


@asked
@adapters
def test_sizes_first_byte_and_exceptions_are_measured(ask: Ask, backend_path: str, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {
        "backend": backend_path,
        "directory": tmp_path,
        "request_details": ["sizes", "first_byte", "exceptions"],
    }
    ask("/", **wanted)
    with pytest.raises(KeyError):
        ask("/fail", **wanted)
    text = expose()
    assert value(text, "http_request_size_bytes_sum", route="/") == 12
    assert value(text, "http_response_size_bytes_sum", route="/") == 7
    assert value(text, "http_time_to_first_byte_seconds_count", route="/") == 1
    assert value(text, "http_time_to_first_byte_seconds_count", route="/fail") == 0
    assert value(text, "http_exceptions_total", route="/fail", type="KeyError") == 1
    assert value(text, "http_requests_total", route="/", code="200") == 1
    assert set(samples(text)["http_requests_in_progress"].values()) == {0}


def test_the_size_of_a_file_that_the_server_sends_is_what_its_header_says(tmp_path: Path) -> None:
    ask_asgi("/file", backend=MEMORY, directory=tmp_path, request_details=["sizes"])
    assert value(expose(), "http_response_size_bytes_sum", route="/file") == 7


@asked
@adapters
def test_requests_have_extra_labels(ask: Ask, backend_path: str, tmp_path: Path) -> None:
    for _ in range(2):
        ask("/", backend=backend_path, directory=tmp_path, labels={"tenant": find_tenant})
    assert value(expose(), "http_requests_total", route="/", tenant="blue") == 2


@asked
def test_an_extra_label_that_fails_fails_no_request(ask: Ask, tmp_path: Path) -> None:
    ask("/", backend=MEMORY, directory=tmp_path, labels={"tenant": lambda request: request["nothing"]})
    assert value(expose(), "http_requests_total", route="/", tenant="") == 1


@asked
@adapters
def test_requests_have_the_names_of_the_semantic_conventions(
    ask: Ask, backend_path: str, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"backend": backend_path, "directory": tmp_path, "names": "semconv"}
    ask("/", **settings)
    with pytest.raises(KeyError):
        ask("/fail", **settings)
    name = "http_server_request_duration_seconds_count"
    labels = {"http_request_method": "POST", "url_scheme": "https"}
    assert value(expose(), name, http_route="/", http_response_status_code="200", **labels) == 1
    assert value(expose(), name, http_route="/fail", error_type="KeyError", **labels) == 1
    assert "http_requests_total" not in samples(expose())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"names": "django-prometheus"}, "one of 'plain', 'semconv'"),
        ({"request_details": ["queries"]}, "one of 'sizes', 'first_byte', 'exceptions'"),
        ({"labels": {"route": find_tenant}}, "'route' is not a label name, or metrics have it already"),
        ({"labels": {"tenant": "nowhere"}}, "'nowhere' is not a function"),
    ],
)
@pytest.mark.parametrize("middleware", [AsgiMetrics, WsgiMetrics])
def test_unusable_setting_stops_the_start(
    middleware: Any, settings: dict[str, Any], match: str, tmp_path: Path
) -> None:
    with pytest.raises(AdapterSettingsError, match=match):
        middleware(None, backend=MEMORY, directory=tmp_path, **settings)


def test_details_by_variables_of_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("METRICS_REQUEST_DETAILS", "sizes, exceptions")
    monkeypatch.setenv("METRICS_NAMES", "semconv")
    found = standalone.read_settings({"directory": tmp_path})
    assert (found.names, found.request_details) == ("semconv", ("sizes", "exceptions"))


@pytest.mark.parametrize(("length", "size"), [(None, 0), ("", 0), ("12", 12), ("twelve", None), ("²", None)])
def test_a_length_that_is_not_a_number_gives_no_size(length: str | None, size: float | None) -> None:
    assert parse_size(length, is_chunked=False) == size
    assert parse_size(length, is_chunked=True) is None
