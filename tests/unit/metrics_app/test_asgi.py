"""The middleware without Django, around real Starlette and FastAPI applications."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from metrics_app import current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.asgi import RequestMetrics
from tests.exposition import samples, value
from tests.unit.metrics_app.asgi_requests import ask, get


@pytest.fixture(autouse=True)
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricsAdapter]:
    made = InMemoryMetricsAdapter()
    monkeypatch.setattr(current, "adapter", made)
    yield made
    made.close()


def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def fail(_request: Request) -> PlainTextResponse:
    raise RuntimeError("broken on purpose")


async def stream(_request: Request) -> StreamingResponse:
    async def parts() -> AsyncIterator[bytes]:
        for part in (b"one", b"two"):
            await asyncio.sleep(0.02)
            yield part

    return StreamingResponse(parts())


async def with_task(_request: Request) -> PlainTextResponse:
    async def work() -> None:
        await asyncio.sleep(5)

    return PlainTextResponse("ok", background=BackgroundTask(asyncio.wait_for, work(), 0.3))


def routes(text: bytes | str) -> dict[str, float]:
    return {dict(labels)["route"]: number for labels, number in samples(text)["http_requests_total"].items()}


def starlette_app(tmp_path: Path) -> Starlette:
    (tmp_path / "style.css").write_text("body {}")
    inner = Starlette(routes=[Route("/deep/{key}", answer)])
    app = Starlette(
        routes=[
            Route("/", answer),
            Route("/items/{number:int}", answer, methods=["GET"]),
            Route("/fail", fail),
            Route("/stream", stream),
            Mount("/static", StaticFiles(directory=tmp_path)),
            Mount("/{tenant}/shop", app=inner),
            Mount("/group", routes=[Route("/orders/{order}", answer), Mount("/again", app=inner)]),
        ]
    )
    app.add_middleware(RequestMetrics)
    return app


ASKED = [
    ("/", 200, "/"),
    ("/items/7", 200, "/items/{number}"),
    ("/items/none", 404, "unmatched"),
    ("/nothing/here", 404, "unmatched"),
    ("/static/style.css", 200, "/static"),
    ("/static/missing.css", 404, "/static"),
    ("/anna/shop/deep/x", 200, "/{tenant}/shop/deep/{key}"),
    ("/bert/shop/deep/y", 200, "/{tenant}/shop/deep/{key}"),
    ("/group/orders/5", 200, "/group/orders/{order}"),
    ("/group/again/deep/z", 200, "/group/again/deep/{key}"),
    ("/stream", 200, "/stream"),
]


@pytest.mark.parametrize(("path", "code", "route"), ASKED)
def test_a_request_of_starlette_is_counted_by_the_template_of_its_path(
    adapter: InMemoryMetricsAdapter, tmp_path: Path, path: str, code: int, route: str
) -> None:
    status, _, _ = get(starlette_app(tmp_path), path)
    assert status == code
    [labels] = samples(adapter())["http_requests_total"]
    found = dict(labels)
    assert (found["method"], found["code"]) == ("GET", str(code))
    assert found["route"].replace(":int", "") == route


def test_the_middleware_may_stand_around_the_whole_application(
    adapter: InMemoryMetricsAdapter, tmp_path: Path
) -> None:
    app = RequestMetrics(starlette_app(tmp_path).router)
    get(app, "/anna/shop/deep/x")
    assert routes(adapter()) == {"/{tenant}/shop/deep/{key}": 1}


def fastapi_app() -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/orders")

    @app.get("/items/{number}")
    async def item(number: int) -> int:
        return number

    @router.get("/{order}")
    def order(order: str) -> str:
        return order

    below = FastAPI()
    below.include_router(router)
    app.include_router(router, prefix="/api")
    app.mount("/below", below)
    app.mount("/plain", PlainTextResponse("ok"))
    app.add_middleware(RequestMetrics)
    return app


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/items/7", "/items/{number}"),
        ("/api/orders/7", "/api/orders/{order}"),
        ("/below/orders/7", "/below/orders/{order}"),
        ("/below/nothing", "unmatched"),
        ("/plain/whatever/7", "/plain"),
        ("/docs", "/docs"),
        ("/nothing", "unmatched"),
    ],
)
def test_a_request_of_fastapi_is_counted_by_the_template_of_its_path(
    adapter: InMemoryMetricsAdapter, path: str, route: str
) -> None:
    get(fastapi_app(), path)
    assert routes(adapter()) == {route: 1}


def test_application_mounted_at_the_root_is_one_route(
    adapter: InMemoryMetricsAdapter, tmp_path: Path
) -> None:
    app = FastAPI()
    app.mount("/", StaticFiles(directory=tmp_path, html=True))
    app.add_middleware(RequestMetrics)
    (tmp_path / "index.html").write_text("home")
    for path in ("/", "/index.html", "/made-up"):
        get(app, path)
    assert value(adapter(), "http_requests_total", route="/") == 3


def test_a_method_that_is_not_allowed_keeps_its_route(
    adapter: InMemoryMetricsAdapter, tmp_path: Path
) -> None:
    assert get(starlette_app(tmp_path), "/items/7", "POST")[0] == 405
    assert get(starlette_app(tmp_path), "/", "INVENTED")[0] == 405
    text = adapter()
    assert value(text, "http_requests_total", method="POST", code="405") == 1
    assert value(text, "http_requests_total", method="OTHER", route="/") == 1


def test_an_exception_is_a_500_and_nothing_stays_in_progress(
    adapter: InMemoryMetricsAdapter, tmp_path: Path
) -> None:
    with pytest.raises(RuntimeError, match="on purpose"):
        get(starlette_app(tmp_path), "/fail")
    text = adapter()
    assert value(text, "http_request_errors_total", code="500", route="/fail") == 1
    assert value(text, "http_requests_in_progress") == 0


def test_a_stream_is_timed_to_its_end_and_what_follows_the_answer_is_not(
    adapter: InMemoryMetricsAdapter,
) -> None:
    app = RequestMetrics(Starlette(routes=[Route("/stream", stream), Route("/task", with_task)]))
    get(app, "/stream")
    with pytest.raises(TimeoutError):
        get(app, "/task")
    durations = "http_request_duration_seconds"
    assert value(adapter(), f"{durations}_sum", route="/stream") >= 0.04
    assert value(adapter(), f"{durations}_count", route="/task", code="200") == 1
    assert value(adapter(), "http_request_errors_total") == 0


def test_a_request_is_counted_before_the_last_part_of_its_answer_is_sent(
    adapter: InMemoryMetricsAdapter,
) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        await send({"type": "http.response.start", "status": 201, "headers": []})
        await send({"type": "http.response.pathsend", "path": "/file"})

    counted: dict[str, bool] = {}

    async def send(message: Any) -> None:
        counted[message["type"]] = "http_requests_total" in samples(adapter())

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": "/", "headers": []}
    asyncio.run(RequestMetrics(app)(scope, None, send))  # type: ignore[arg-type]
    assert counted == {
        "http.response.early_hint": False,
        "http.response.start": False,
        # The process may be killed as soon as the client has its answer.
        "http.response.pathsend": True,
    }
    assert value(adapter(), "http_requests_total", code="201") == 1


def test_a_client_that_went_away_before_the_answer_is_a_499(adapter: InMemoryMetricsAdapter) -> None:
    async def hang(*_: Any) -> None:
        await asyncio.Event().wait()

    async def leave() -> None:
        task = asyncio.create_task(ask(RequestMetrics(hang), "/"))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    assert value(adapter(), "http_requests_total", code="499", route="unmatched") == 1


def test_a_function_may_name_the_routes_and_paths_may_be_excluded(adapter: InMemoryMetricsAdapter) -> None:
    app = Starlette(routes=[Route("/{path:path}", answer)])
    measured = RequestMetrics(app, route=lambda scope: scope["path"].split("/")[1], exclude=["/health"])
    for path in ("/a/b", "/a/c", "/health/live"):
        get(measured, path)
    assert routes(adapter()) == {"a": 2}
    get(RequestMetrics(app, route=lambda scope: scope["nothing"]), "/a")
    assert routes(adapter())["unmatched"] == 1


def test_other_protocols_are_passed_on(adapter: InMemoryMetricsAdapter) -> None:
    seen: list[str] = []

    async def app(scope: Any, *_: Any) -> None:
        seen.append(scope["type"])

    for kind in ("lifespan", "websocket"):
        asyncio.run(RequestMetrics(app)({"type": kind}, None, None))  # type: ignore[arg-type]
    assert seen == ["lifespan", "websocket"]
    assert "http_requests_total" not in samples(adapter())
