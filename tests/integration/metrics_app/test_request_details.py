"""More about requests, each part where a setting asks for it: buckets, labels, sizes, exceptions, queries."""

import gc
import time
import weakref
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.test import AsyncClient, Client, RequestFactory, override_settings
from django.urls import path

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.backend import get_metrics
from metrics_app.bindings import MAX_LABEL_VALUES
from metrics_app.middleware import RequestMetricsMiddleware
from tests.exposition import samples, value
from tests.metrics_settings import override_metrics

ADAPTERS = [
    f"{adapter.__module__}.{adapter.__name__}"
    for adapter in (InMemoryMetricsAdapter, PrometheusMetricsAdapter)
]


def home(request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"x" * int(request.GET.get("size", 2)))


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    def content() -> Iterator[bytes]:
        yield b"one"
        time.sleep(0.05)
        yield b"three"

    return StreamingHttpResponse(content())


def fail(request: HttpRequest) -> HttpResponse:
    raise {"key": KeyError, "missing": Http404}[request.GET["with"]]


def ask_database(request: HttpRequest) -> HttpResponse:
    with connection.cursor() as cursor:
        for _ in range(int(request.GET["times"])):
            cursor.execute("SELECT 1")
    return HttpResponse("ok")


def ask_database_and_fail(request: HttpRequest) -> HttpResponse:
    ask_database(request)
    raise KeyError


def stream_from_database(request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(ask_database(request).content for _ in range(2))


site = ModuleType("urls_of_request_details")
site.urlpatterns = [  # type: ignore[attr-defined]
    path("", home, name="home"),
    path("report", home, name="report"),
    path("stream", stream, name="stream"),
    path("fail", fail, name="fail"),
    path("database", ask_database, name="database"),
    path("database/fails", ask_database_and_fail, name="database-fails"),
    path("database/streams", stream_from_database, name="database-streams"),
]


@pytest.fixture(autouse=True)
def _site() -> Iterator[None]:
    with override_settings(ROOT_URLCONF=site):
        yield


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def expose() -> bytes:
    text: bytes = get_metrics().get_http_handler()()
    return text


def find_bounds(route: str) -> list[str]:
    buckets = samples(expose())["http_request_duration_seconds_bucket"]
    return [dict(labels)["le"] for labels in buckets if dict(labels)["route"] == route]


@pytest.mark.parametrize("backend", ADAPTERS)
def test_buckets_are_those_of_the_settings_for_all_routes_and_for_single_ones(
    client: Client, backend: str
) -> None:
    with override_metrics(BACKEND=backend, BUCKETS=[0.5, 5], ROUTES={"report": [10, 60]}):
        for address in ("/", "/report", "/report"):
            client.get(address)
        assert find_bounds("home") == ["0.5", "5.0", "+Inf"]
        assert find_bounds("report") == ["10.0", "60.0", "+Inf"]
        assert value(expose(), "http_request_duration_seconds_bucket", route="report", le="10.0") == 2
        assert value(expose(), "http_request_duration_seconds_count", route="report") == 2


def test_an_exemplar_stands_at_the_bucket_of_the_settings(client: Client) -> None:
    with override_metrics(BACKEND=ADAPTERS[1], BUCKETS=[0.7, 7]):
        recorder = get_metrics().request_recorder()
        recorder.begin("GET")
        recorder.finish(("GET", "home", 200), 0.6, "1" * 32)
        accept = "application/openmetrics-text; version=1.0.0"
        lines = get_metrics().get_http_handler()(accept).decode().splitlines()
    [line] = [line for line in lines if "trace_id" in line]
    assert 'le="0.7"' in line


def find_tenant(request: HttpRequest) -> str:
    return request.headers.get("X-Tenant", "nobody")


@pytest.mark.parametrize("backend", ADAPTERS)
def test_requests_have_the_extra_labels_of_the_settings(client: Client, backend: str) -> None:
    with override_metrics(BACKEND=backend, LABELS={"tenant": find_tenant}):
        client.get("/", headers={"X-Tenant": "one"})
        client.get("/missing")
        text = expose()
        assert value(text, "http_requests_total", route="home", tenant="one", code="200") == 1
        assert value(text, "http_request_duration_seconds_count", route="home", tenant="one") == 1
        assert value(text, "http_request_errors_total", tenant="nobody", code="404") == 1
        assert set(samples(text)["http_requests_in_progress"].values()) == {0}


def test_the_values_of_an_extra_label_are_bounded(client: Client) -> None:
    with override_metrics(LABELS={"tenant": find_tenant}):
        for number in range(MAX_LABEL_VALUES + 3):
            client.get("/", headers={"X-Tenant": str(number)})
        client.get("/", headers={"X-Tenant": "1"})
        text = expose()
        assert value(text, "http_requests_total", tenant="1") == 2
        assert value(text, "http_requests_total", tenant="overflow") == 3


def test_an_extra_label_that_fails_fails_no_request(client: Client) -> None:
    def broken(_request: HttpRequest) -> str:
        raise RuntimeError("broken on purpose")

    with override_metrics(LABELS={"tenant": broken}, ON_MISUSE="log"):
        assert client.get("/").status_code == 200
        assert value(expose(), "http_requests_total", route="home", tenant="") == 1


def test_a_measured_request_is_let_go_of_without_a_garbage_collection(client: Client) -> None:
    answered: list[weakref.ref[HttpRequest]] = []

    def view(request: HttpRequest) -> HttpResponse:
        answered.append(weakref.ref(request))
        return HttpResponse("ok")

    with override_metrics(REQUEST_DETAILS=["sizes", "first_byte", "exceptions", "queries"]):
        middleware = RequestMetricsMiddleware(view)
        gc.disable()
        try:
            middleware(RequestFactory().get("/"))
            assert answered[0]() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("backend", ADAPTERS)
def test_sizes_of_bodies_are_measured(client: Client, backend: str) -> None:
    with override_metrics(BACKEND=backend, REQUEST_DETAILS=["sizes"]):
        client.post("/?size=1234", b"x" * 400, content_type="text/plain")
        client.get("/stream").getvalue()
        text = expose()
        assert value(text, "http_request_size_bytes_sum", route="home", method="POST") == 400
        assert value(text, "http_response_size_bytes_sum", route="home", method="POST") == 1234
        assert value(text, "http_response_size_bytes_sum", route="stream") == len(b"onethree")
        assert value(text, "http_requests_total", route="home") == 1


def test_the_first_byte_of_a_stream_comes_before_its_end(client: Client, metrics: Any) -> None:
    with override_metrics(REQUEST_DETAILS=["first_byte"]):
        client.get("/stream").getvalue()
        client.get("/")
    labels = {"method": "GET", "route": "stream", "code": "200"}
    [first] = metrics.observations("http_time_to_first_byte_seconds", labels)
    [whole] = metrics.observations("http_request_duration_seconds", labels)
    assert first + 0.05 <= whole
    assert metrics.observations("http_time_to_first_byte_seconds", labels | {"route": "home"})


def test_exceptions_that_nobody_handled_are_counted_by_type(client: Client) -> None:
    with override_metrics(REQUEST_DETAILS=["exceptions"]):
        assert client.get("/fail?with=key").status_code == 500
        assert client.get("/fail?with=missing").status_code == 404
        found = samples(expose())["http_exceptions_total"]
    assert [(dict(labels)["type"], count) for labels, count in found.items()] == [("KeyError", 1)]


async def test_exceptions_of_async_requests_are_counted_by_type() -> None:
    with override_metrics(REQUEST_DETAILS=["exceptions"]):
        await AsyncClient(raise_request_exception=False).get("/fail?with=key")
        assert value(expose(), "http_exceptions_total", route="fail", type="KeyError") == 1


@pytest.mark.django_db(transaction=True)
def test_the_queries_of_each_request_are_counted_by_route(client: Client, metrics: Any) -> None:
    connection.close()
    with override_metrics(REQUEST_DETAILS=["queries"]):
        for times in (3, 1):
            client.get(f"/database?times={times}")
        client.get("/")
    numbers = "http_request_database_queries"
    assert metrics.observations(numbers, {"method": "GET", "route": "database"}) == [3, 1]
    assert metrics.observations(numbers, {"method": "GET", "route": "home"}) == [0]
    assert metrics.value("http_request_database_seconds", {"method": "GET", "route": "database"}) > 0
    connection.close()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("ending", "number", "size"), [("", 2.0, 2.0), ("/fails", 2.0, None), ("/streams", 4.0, 4.0)]
)
def test_every_detail_of_a_request_is_measured_however_it_ends(
    client: Client, metrics: Any, ending: str, number: float, size: float | None
) -> None:
    connection.close()
    with override_metrics(REQUEST_DETAILS=["sizes", "first_byte", "exceptions", "queries"]):
        for _ in range(2):
            client.get(f"/database{ending}?times=2").getvalue()
    labels = {"method": "GET", "route": f"database{ending.replace('/', '-')}"}
    assert metrics.observations("http_request_database_queries", labels) == [number] * 2
    labels |= {"code": "500" if ending == "/fails" else "200"}
    assert metrics.observations("http_request_size_bytes", labels) == [0.0] * 2
    assert len(metrics.observations("http_time_to_first_byte_seconds", labels)) == 2
    if size is not None:
        assert metrics.observations("http_response_size_bytes", labels) == [size] * 2
    del labels["code"]
    assert metrics.value("http_exceptions_total", {**labels, "type": "KeyError"}) == 2 * (ending == "/fails")
    connection.close()


def close_connection() -> None:
    """That of the thread in which this is called."""
    connection.close()


@pytest.mark.django_db(transaction=True)
async def test_the_queries_of_async_requests_are_counted_by_route(metrics: Any) -> None:
    await sync_to_async(close_connection)()  # another test may have opened it
    with override_metrics(REQUEST_DETAILS=["queries"]):
        await AsyncClient().get("/database?times=3")
    await sync_to_async(close_connection)()
    assert metrics.observations("http_request_database_queries", {"method": "GET", "route": "database"}) == [
        3
    ]
