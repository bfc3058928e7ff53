"""The exposition of an ASGI application without Django, around FastAPI."""

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from metrics_app import current
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.asgi import Exposition, RequestMetrics
from tests.exposition import samples, value
from tests.unit.metrics_app.asgi_requests import get


@pytest.fixture(autouse=True)
def adapter(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemoryMetricsAdapter]:
    made = InMemoryMetricsAdapter()
    monkeypatch.setattr(current, "adapter", made)
    yield made
    made.close()


def answer(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("ok")


def routes(text: bytes | str) -> dict[str, float]:
    return {dict(labels)["route"]: number for labels, number in samples(text)["http_requests_total"].items()}


def exposing(**settings: Any) -> RequestMetrics:
    app = FastAPI()
    app.mount("/metrics", Exposition(**settings))
    app.add_route("/", answer)
    return RequestMetrics(app)


def test_the_exposition_answers_a_scrape_and_is_not_counted(adapter: InMemoryMetricsAdapter) -> None:
    app = exposing()
    get(app, "/")
    status, headers, content = get(app, "/metrics/")
    assert (status, headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    assert routes(content) == {"/": 1}
    assert value(content, "http_requests_in_progress") == 1
    status, headers, content = get(app, "/metrics/", accept_encoding="gzip")
    assert headers["content-encoding"] == "gzip"
    assert routes(gzip.decompress(content)) == {"/": 1}
    status, headers, content = get(app, "/metrics/", "HEAD")
    assert (status, content) == (200, b"")
    assert int(headers["content-length"]) > 0
    assert get(app, "/metrics/", "POST")[0] == 405
    assert value(adapter(), "http_requests_in_progress") == 0


def test_the_exposition_can_be_kept_to_some(adapter: InMemoryMetricsAdapter) -> None:
    guarded = exposing(token="secret")
    assert get(guarded, "/metrics/")[0] == 401
    assert get(guarded, "/metrics/", authorization="Bearer wrong")[0] == 401
    assert get(guarded, "/metrics/", authorization="Bearer secret")[0] == 200
    assert get(exposing(allowed_networks=["10.0.0.0/8"]), "/metrics/")[0] == 403
    assert get(exposing(allowed_networks=["127.0.0.0/8"]), "/metrics/")[0] == 200
