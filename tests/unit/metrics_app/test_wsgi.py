"""The middleware and the exposition without Django, around plain WSGI applications."""

import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from wsgiref.util import FileWrapper, setup_testing_defaults

import pytest

from metrics_app import current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.wsgi import Exposition, RequestMetrics
from tests.exposition import samples, value
from tests.without_module import run_without


@pytest.fixture(autouse=True)
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricsAdapter]:
    made = InMemoryMetricsAdapter()
    monkeypatch.setattr(current, "adapter", made)
    yield made
    made.close()


class Parts:
    """Content that must be closed, and may break."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.closed = 0
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        yield b"one"
        if self._breaks:
            raise RuntimeError("broken on purpose")
        yield b"two"

    def close(self) -> None:
        self.closed += 1


PARTS = Parts()


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise RuntimeError("broken on purpose")
    if path == "/metrics":
        return Exposition()(environ, start_response)
    start_response("404 Not Found" if path == "/missing" else "200 OK", [("Content-Type", "text/plain")])
    if path == "/file":
        found: Iterable[bytes] = environ["wsgi.file_wrapper"](io.BytesIO(b"content"))
        return found
    environ["route"] = "/<name>"
    return (
        Parts(breaks=path == "/breaks")
        if path in {"/breaks", "/leaves"}
        else PARTS
        if path == "/parts"
        else [b"ok"]
    )


def begin(path: str, method: str = "GET", **more: Any) -> tuple[Any, list[str]]:
    environ: dict[str, Any] = {
        "PATH_INFO": path,
        "REQUEST_METHOD": method,
        "wsgi.file_wrapper": FileWrapper,
        **more,
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    measured = RequestMetrics(app, route=lambda environ: environ.get("route"), exclude=["/health"])

    def start_response(status: str, _headers: Any, _exc_info: Any = None) -> Callable[[bytes], object]:
        statuses.append(status)
        return lambda _part: None

    content = measured(environ, start_response)
    return content, statuses


def get(path: str, method: str = "GET", **more: Any) -> bytes:
    content, _ = begin(path, method, **more)
    read = b"".join(content)
    if hasattr(content, "close"):
        content.close()
    return read


def counted(adapter: InMemoryMetricsAdapter) -> dict[tuple[str, str], float]:
    found = samples(adapter()).get("http_requests_total", {})
    return {(dict(labels)["route"], dict(labels)["code"]): number for labels, number in found.items()}


def test_requests_are_counted_by_route_method_and_code(adapter: InMemoryMetricsAdapter) -> None:
    assert get("/anna") == get("/bert") == b"ok"
    get("/missing", "INVENTED")
    get("/health/live")
    assert counted(adapter) == {("/<name>", "200"): 2, ("/<name>", "404"): 1}
    assert value(adapter(), "http_requests_total", method="OTHER", code="404") == 1
    assert value(adapter(), "http_requests_in_progress") == 0


def test_an_exception_is_a_500(adapter: InMemoryMetricsAdapter) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        get("/fail")
    assert counted(adapter) == {("unmatched", "500"): 1}


def test_content_is_counted_at_its_end_and_closed(adapter: InMemoryMetricsAdapter) -> None:
    content, _ = begin("/parts")
    parts = iter(content)
    assert next(parts) == b"one"
    assert counted(adapter) == {}
    assert list(parts) == [b"two"]
    assert counted(adapter) == {("/<name>", "200"): 1}
    content.close()
    assert PARTS.closed == 1
    assert counted(adapter) == {("/<name>", "200"): 1}


def test_content_that_breaks_is_a_500_and_a_client_that_leaves_is_counted(
    adapter: InMemoryMetricsAdapter,
) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        get("/breaks")
    content, _ = begin("/leaves")
    assert next(iter(content)) == b"one"
    content.close()
    assert counted(adapter) == {("/<name>", "500"): 1, ("/<name>", "200"): 1}


def test_a_file_stays_the_object_that_the_server_sends_by_itself(adapter: InMemoryMetricsAdapter) -> None:
    content, _ = begin("/file")
    assert isinstance(content, FileWrapper)
    assert counted(adapter) == {("unmatched", "200"): 1}
    content.close()


def test_the_exposition_answers_a_scrape_and_is_not_counted(adapter: InMemoryMetricsAdapter) -> None:
    get("/anna")
    text = get("/metrics")
    assert value(text, "http_requests_total") == value(text, "http_requests_in_progress") == 1
    assert counted(adapter) == {("/<name>", "200"): 1}
    _, statuses = begin("/metrics", "POST")
    assert statuses == ["405 Method Not Allowed"]


PROGRAM = """
import asyncio, os
from metrics_app import asgi, metrics, wsgi

jobs = metrics.counter("jobs_total", "Jobs done.", labels=("kind",))
jobs.labels(kind="mail").inc(2)
jobs.labels(colour="red").inc()

def app(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]

measured = wsgi.RequestMetrics(app, route=lambda environ: "/home")
measured({"REQUEST_METHOD": "GET", "PATH_INFO": "/"}, lambda *_: None)
[text] = wsgi.exposition({"REQUEST_METHOD": "GET", "PATH_INFO": "/metrics"}, lambda *_: None)
print(text.decode())
assert "django" not in sys.modules
"""


def test_all_of_it_works_where_django_is_not_installed(tmp_path: Any) -> None:
    environment = {"METRICS_DIRECTORY": str(tmp_path / "metrics"), "METRICS_CONSTANT_LABELS": "service=shop"}
    run = run_without("django", PROGRAM, **environment, DJANGO_SETTINGS_MODULE="")
    assert run.returncode == 0, run.stderr
    assert value(run.stdout, "jobs_total", kind="mail", service="shop") == 2
    assert value(run.stdout, "http_requests_total", route="/home", code="200") == 1
    assert value(run.stdout, "metrics_misused_total", metric="jobs_total", kind="labels") == 1
    assert "jobs_total was not recorded, at <string>" in run.stderr
