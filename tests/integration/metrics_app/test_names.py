"""The metrics of requests by the names of others: django-prometheus, and OpenTelemetry's conventions."""

from collections.abc import Iterator
from functools import partial
from types import ModuleType
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.template import engines
from django.template.response import TemplateResponse
from django.test import AsyncClient, Client, override_settings
from django.urls import path

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.backend import get_metrics, has_failed
from metrics_app.cache import find_backend_name
from metrics_app.catalogue import CATALOGUE
from metrics_app.request_schemes import DJANGO_PROMETHEUS, SEMCONV
from metrics_app.store_schemes import STORES
from tests.exposition import samples, value
from tests.metrics_settings import override_metrics
from tests.otlp_receiver import Receiver

ADAPTERS = [
    f"{adapter.__module__}.{adapter.__name__}"
    for adapter in (InMemoryMetricsAdapter, PrometheusMetricsAdapter)
]
OPENTELEMETRY = f"{OpenTelemetryMetricsAdapter.__module__}.{OpenTelemetryMetricsAdapter.__name__}"


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"x" * 100)


def stream(_request: HttpRequest) -> StreamingHttpResponse:
    return StreamingHttpResponse(iter([b"one", b"two"]))


def page(request: HttpRequest) -> TemplateResponse:
    return TemplateResponse(request, engines["django"].from_string("a page"))


def fail(_request: HttpRequest) -> HttpResponse:
    raise KeyError("broken on purpose")


site = ModuleType("urls_of_names")
site.urlpatterns = [  # type: ignore[attr-defined]
    path("", home, name="home"),
    path("item/<int:number>", lambda _request, number: HttpResponse(str(number)), name="item"),
    path("stream", stream, name="stream"),
    path("page", page, name="page"),
    path("fail", fail, name="fail"),
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


@pytest.mark.parametrize("backend", ADAPTERS)
def test_requests_have_the_names_of_django_prometheus(client: Client, backend: str) -> None:
    with override_metrics(BACKEND=backend, NAMES="django-prometheus"):
        client.post("/", b"x" * 50, content_type="text/plain", headers={"X-Requested-With": "XMLHttpRequest"})
        client.get("/stream").getvalue()
        client.get("/page")
        client.get("/fail")
        client.get("/missing")
        text = expose()

    def count(name: str, **labels: str) -> float:
        return value(text, f"django_http_{name}", **labels)

    assert not has_failed()
    assert count("requests_before_middlewares_total") == count("responses_before_middlewares_total") == 5
    assert count("requests_latency_including_middlewares_seconds_count") == 5
    assert count("requests_total_by_method_total", method="GET") == 4
    assert count("requests_total_by_transport_total", transport="http") == 5
    view = {"view": "home", "transport": "http", "method": "POST"}
    assert count("requests_total_by_view_transport_method_total", **view) == 1
    assert count("requests_latency_seconds_by_view_method_count", view="home", method="POST") == 1
    assert count("requests_latency_seconds_by_view_method_count", view="<unnamed view>", method="GET") == 1
    assert count("requests_body_total_bytes_sum") == 50
    assert count("ajax_requests_total") == 1
    assert count("responses_total_by_status_total", status="200") == 3
    failed = {"status": "500", "view": "fail", "method": "GET"}
    assert count("responses_total_by_status_view_method_total", **failed) == 1
    assert count("responses_body_total_bytes_bucket", le="128.0") >= 1
    assert count("responses_total_by_charset_total", charset="utf-8") == 5
    assert count("responses_streaming_total") == 1
    assert count("responses_total_by_templatename_total") == 1
    assert count("exceptions_total_by_type_total", type="KeyError") == 1
    assert count("exceptions_total_by_view_total", view="fail") == 1
    assert count("requests_unknown_latency_total") == 0
    assert b"django_http_requests_unknown_latency_total" in text
    assert b"http_request_duration_seconds" not in text


@pytest.mark.parametrize("backend", ADAPTERS)
def test_requests_have_the_names_of_the_semantic_conventions(client: Client, backend: str) -> None:
    with override_metrics(BACKEND=backend, NAMES="semconv"):
        for address in ("/item/1", "/item/2", "/fail", "/missing"):
            client.get(address)
        client.generic("QUERY", "/")
        text = expose()
    duration = "http_server_request_duration_seconds_count"
    found = {tuple(sorted(dict(labels).items())) for labels in samples(text)[duration]}
    item = {
        "http_request_method": "GET",
        "http_response_status_code": "200",
        "http_route": "item/<int:number>",
        "url_scheme": "http",
        "error_type": "",
    }
    assert value(text, duration, **item) == 2
    assert len(found) == 4
    assert value(text, duration, http_route="fail", error_type="KeyError") == 1
    assert value(text, duration, http_route="", http_response_status_code="404", error_type="") == 1
    assert value(text, duration, http_request_method="_OTHER") == 1
    assert set(samples(text)["http_server_active_requests"].values()) == {0}


async def test_async_requests_have_these_names_too() -> None:
    with override_metrics(NAMES="semconv"):
        await AsyncClient(raise_request_exception=False).get("/fail")
        text = expose()
    assert value(text, "http_server_request_duration_seconds_count", error_type="KeyError") == 1


def test_the_conventions_have_their_dots_over_otlp(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver().listening() as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.endpoint)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with override_metrics(
            BACKEND=OPENTELEMETRY, NAMES="semconv", LABELS={"tenant": lambda _request: "one"}
        ):
            client.get("/item/1")
            adapter = get_metrics()
            assert isinstance(adapter, OpenTelemetryMetricsAdapter)
            assert adapter.push_now(120)
        pushed = receiver.pushes[-1].metrics
    duration = pushed["http.server.request.duration"]
    assert duration.unit == "s"
    [point] = duration.histogram.data_points
    attributes = {
        attribute.key: attribute.value.string_value or attribute.value.int_value
        for attribute in point.attributes
    }
    assert attributes == {
        "http.request.method": "GET",
        "url.scheme": "http",
        "http.route": "item/<int:number>",
        "http.response.status_code": 200,
        "tenant": "one",
    }
    assert "http.server.active_requests" in pushed


@pytest.mark.parametrize(("names", "label"), [("semconv", "http_route"), ("django-prometheus", "view")])
def test_buckets_are_those_of_the_settings_by_any_name(client: Client, names: str, label: str) -> None:
    with override_metrics(NAMES=names, BUCKETS=[0.5, 5], ROUTES={"stream": [10, 60]}):
        for address in ("/", "/stream"):
            response = client.get(address)
            response.getvalue()
        buckets = [
            dict(labels)
            for name, found in samples(expose()).items()
            if "_seconds" in name
            for labels in found
            if name.endswith("_bucket")
        ]
    of_stream = [labels["le"] for labels in buckets if labels.get(label) == "stream"]
    assert of_stream == ["10.0", "60.0", "+Inf"]
    assert [labels["le"] for labels in buckets if labels.get(label) not in {None, "stream"}] == [
        "0.5",
        "5.0",
        "+Inf",
    ]


@pytest.mark.django_db
def test_databases_and_caches_have_the_names_of_django_prometheus() -> None:
    other = connection.copy()
    caches_of_test = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    with (
        override_metrics(NAMES="django-prometheus", DATABASE=True, CACHES=True),
        override_settings(CACHES=caches_of_test),
    ):
        with other.cursor() as cursor:
            cursor.execute("SELECT 1")
            cursor.execute("CREATE TEMPORARY TABLE numbers (number integer)")
            cursor.executemany("INSERT INTO numbers VALUES (%s)", [(1,), (2,), (3,)])
            with pytest.raises(DatabaseError):
                cursor.execute("SELECT nothing")
        cache.set("key", 1)
        cache.get_many(["key", "other"])
        # Not by a scrape: the gauges that are read from the database then are queries as well.
        metrics = get_metrics()
        assert isinstance(metrics, InMemoryMetricsAdapter)
    labels = {"alias": "default", "vendor": connection.vendor}
    assert metrics.value("django_db_new_connections_total", labels) == 1
    assert metrics.value("django_db_execute_many_total", labels) == 3
    # The settings of a new connection may take queries of their own.
    executed = metrics.value("django_db_execute_total", labels)
    assert executed >= 6
    durations = metrics.observations("django_db_query_duration_seconds", labels)
    assert len(durations) == executed - 2
    kinds = ("OperationalError", "ProgrammingError")
    assert sum(metrics.value("django_db_errors_total", {**labels, "type": kind}) for kind in kinds) == 1
    reads = [f"django_cache_get{part}_total" for part in ("", "_hits", "_misses")]
    assert [metrics.value(name, {"backend": "locmem"}) for name in reads] == [2, 1, 1]
    other.connection.close()  # not by Django's own method: it leaves an in-memory database connected
    other.connection = None


class CacheThatIsDown(LocMemCache):
    def get(self, *_: Any, **__: Any) -> Any:
        raise ConnectionError("the cache is down on purpose")

    get_many = get


async def test_reads_of_a_cache_that_fail_are_counted_by_the_name_of_django_prometheus() -> None:
    caches_of_test = {"default": {"BACKEND": f"{__name__}.CacheThatIsDown"}}
    with (
        override_metrics(NAMES="django-prometheus", CACHES=True),
        override_settings(CACHES=caches_of_test),
    ):
        for read in (cache.get, cache.get_many, partial(cache.get_or_set, default=1)):
            with pytest.raises(ConnectionError):
                read("ab")  # two keys, where many are read
        for read_async in (cache.aget, cache.aget_many, partial(cache.aget_or_set, default=1)):
            with pytest.raises(ConnectionError):
                await read_async("ab")
        metrics = get_metrics()
        assert isinstance(metrics, InMemoryMetricsAdapter)
    found = {
        part: metrics.value(f"django_cache_get{part}_total", {"backend": __name__.rpartition(".")[2]})
        for part in ("", "_fail", "_hits", "_misses")
    }
    assert found == {"": 8, "_fail": 8, "_hits": 0, "_misses": 0}


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("django.core.cache.backends.filebased.FileBasedCache", "filebased"),
        ("django.core.cache.backends.memcached.PyMemcacheCache", "memcached"),
        ("django.core.cache.backends.redis.RedisCache", "native_redis"),
        ("django_redis.cache.RedisCache", "redis"),
    ],
)
def test_cache_backends_are_called_as_there(path: str, name: str) -> None:
    assert find_backend_name(path) == name


def test_names_that_are_not_asked_for_are_free(client: Client) -> None:
    client.get("/")
    schemes = {definition.name for definition in (*SEMCONV, *DJANGO_PROMETHEUS, *STORES)}
    assert not schemes & CATALOGUE.keys()
