"""Every request is counted once, timed to its last byte, and named by its route."""

import asyncio
import threading
from typing import Any

import pytest
from django.http import FileResponse, HttpRequest, HttpResponse
from django.test import AsyncClient, AsyncRequestFactory, Client, RequestFactory

from metrics_app.middleware import RequestMetricsMiddleware
from metrics_app.ports import MetricsPort
from metrics_app.request_labels import METHODS
from tests.exposition import samples, value
from tests.metrics_settings import override_metrics
from tests.metrics_site import CHUNKS, stream, stream_async


def scrape(metrics: MetricsPort) -> str:
    return metrics.get_http_handler()().decode()


def counted(metrics: MetricsPort, **labels: str) -> float:
    return value(scrape(metrics), "http_requests_total", **labels)


def in_progress(metrics: MetricsPort) -> float:
    return value(scrape(metrics), "http_requests_in_progress")


class Browser:
    """Asks by WSGI or by ASGI."""

    def __init__(self, client: Client | AsyncClient) -> None:
        self._client = client

    def restart(self) -> "Browser":
        """Another, whose requests meet middleware that knows the settings of now."""
        return Browser(type(self._client)(raise_request_exception=False))

    async def ask(self, path: str, method: str = "GET") -> Any:
        if isinstance(self._client, AsyncClient):
            return await self._client.generic(method, path)
        return await asyncio.to_thread(self._client.generic, method, path)


@pytest.fixture(params=[Client, AsyncClient], ids=["sync", "async"])
def browser(request: pytest.FixtureRequest, metrics: MetricsPort) -> Browser:
    return Browser(request.param(raise_request_exception=False))


@pytest.mark.parametrize(
    ("path", "route", "code"),
    [
        ("/", "home", 200),
        ("/async", "async", 200),
        ("/shop/item/200", "shop:item", 200),
        ("/shop/item/404", "shop:item", 404),
        ("/unnamed/201", "unnamed/<int:code>", 201),
        ("/nothing/here", "unmatched", 404),
        ("/fail", "fail", 500),
    ],
)
async def test_a_request_is_counted_by_its_route_and_code(
    browser: Browser, metrics: MetricsPort, path: str, route: str, code: int
) -> None:
    await browser.ask(path)
    labels = {"method": "GET", "route": route, "code": str(code)}
    text = scrape(metrics)
    assert counted(metrics) == counted(metrics, **labels) == 1
    assert value(text, "http_request_duration_seconds_count", **labels) == 1
    assert value(text, "http_request_errors_total", **labels) == (code >= 400)
    assert in_progress(metrics) == 0


@pytest.mark.parametrize("method", ["GET", "POST", "TRACE", "QUERY", "QWERTYU"])
async def test_a_method_that_http_does_not_know_is_other(
    browser: Browser, metrics: MetricsPort, method: str
) -> None:
    await browser.ask("/", method)
    assert counted(metrics, method=METHODS.get(method, "OTHER")) == counted(metrics) == 1


async def test_paths_and_methods_that_clients_make_up_add_few_series(
    browser: Browser, metrics: MetricsPort
) -> None:
    for number in range(100):
        await browser.ask(f"/made/up/{number}", f"METHOD{number}")
    assert counted(metrics, method="OTHER", route="unmatched", code="404") == 100
    assert sum(len(series) for series in samples(scrape(metrics)).values()) <= 40


async def test_a_request_is_in_progress_while_the_view_works(metrics: MetricsPort) -> None:
    seen: list[float] = []

    def view(_request: HttpRequest) -> HttpResponse:
        seen.append(in_progress(metrics))
        return HttpResponse()

    RequestMetricsMiddleware(view)(RequestFactory().get("/"))
    assert seen == [1]
    assert in_progress(metrics) == 0


def test_unhandled_exception_is_a_server_error(metrics: MetricsPort) -> None:
    def view(_request: HttpRequest) -> HttpResponse:
        raise SystemExit(1)

    with pytest.raises(SystemExit):
        RequestMetricsMiddleware(view)(RequestFactory().get("/"))
    assert counted(metrics, code="500") == 1
    assert in_progress(metrics) == 0


async def test_a_client_that_leaves_before_the_answer_is_counted(metrics: MetricsPort) -> None:
    entered = asyncio.Event()

    async def view(_request: HttpRequest) -> HttpResponse:
        entered.set()
        await asyncio.Event().wait()
        return HttpResponse()

    answer: Any = RequestMetricsMiddleware(view)(AsyncRequestFactory().get("/"))
    task = asyncio.create_task(answer)
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counted(metrics, code="499") == 1
    assert in_progress(metrics) == 0


@pytest.mark.parametrize("path", ["/stream", "/file"])
def test_a_stream_is_counted_once_when_its_last_part_is_taken(metrics: MetricsPort, path: str) -> None:
    # The test client closes the response then, as a server does.
    response: Any = Client().get(path)
    assert counted(metrics) == 0
    assert in_progress(metrics) == 1
    assert b"".join(response).startswith((b"one", b'"""'))
    assert counted(metrics, code="200", route=path[1:]) == counted(metrics) == 1
    assert in_progress(metrics) == 0


async def test_an_async_stream_is_counted_once_when_its_last_part_is_taken(metrics: MetricsPort) -> None:
    response: Any = await AsyncClient().get("/stream-async")
    assert in_progress(metrics) == 1
    assert [part async for part in response] == list(CHUNKS)
    assert counted(metrics, code="200", route="stream-async") == counted(metrics) == 1
    assert in_progress(metrics) == 0


def test_a_stream_that_nobody_takes_is_counted_when_it_is_closed(metrics: MetricsPort) -> None:
    response: Any = RequestMetricsMiddleware(stream)(RequestFactory().get("/"))
    assert in_progress(metrics) == 1
    response.close()
    assert counted(metrics, code="200") == 1
    assert in_progress(metrics) == 0


async def test_an_async_stream_whose_client_leaves_is_counted_when_it_is_closed(metrics: MetricsPort) -> None:
    answer: Any = RequestMetricsMiddleware(stream_async)(AsyncRequestFactory().get("/"))
    response = await answer
    assert await anext(aiter(response)) == b"one"
    response.close()
    assert counted(metrics, code="200") == 1
    assert in_progress(metrics) == 0


def test_a_stream_that_breaks_is_a_server_error(metrics: MetricsPort) -> None:
    response: Any = Client().get("/stream-breaks")
    with pytest.raises(RuntimeError, match="on purpose"):
        list(response)
    assert counted(metrics, code="500") == counted(metrics) == 1


async def test_an_async_stream_that_breaks_is_a_server_error(metrics: MetricsPort) -> None:
    response: Any = await AsyncClient().get("/stream-async?break")
    with pytest.raises(RuntimeError, match="on purpose"):
        [part async for part in response]
    assert counted(metrics, code="500") == counted(metrics) == 1


def test_a_file_may_still_be_sent_by_the_servers_own_means(metrics: MetricsPort) -> None:
    with open(__file__, "rb") as content:  # noqa: PTH123 - the response closes it
        response: Any = RequestMetricsMiddleware(lambda _: FileResponse(content))(RequestFactory().get("/"))
        assert response.file_to_stream is content
        response.close()
    assert counted(metrics, code="200") == 1


async def test_an_async_view_runs_in_the_thread_that_the_server_called_from(metrics: MetricsPort) -> None:
    threads: list[int] = []

    async def view(_request: HttpRequest) -> HttpResponse:
        threads.append(threading.get_ident())
        return HttpResponse()

    answer: Any = RequestMetricsMiddleware(view)(AsyncRequestFactory().get("/"))
    await answer
    assert threads == [threading.get_ident()]


async def test_a_scrape_is_not_counted_unless_a_setting_asks_for_it(
    browser: Browser, metrics: MetricsPort
) -> None:
    assert (await browser.ask("/metrics")).status_code == 200
    assert counted(metrics) == in_progress(metrics) == 0
    with override_metrics(COUNT_SCRAPES=True):
        await browser.restart().ask("/metrics")
    assert counted(metrics, route="metrics:exposition") == 1
