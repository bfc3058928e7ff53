"""The demo services: they really slow down, fail and go away, and their own metrics show it."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import ClientConnectionError
from aiohttp.test_utils import TestClient, TestServer

from coordinator_site.demo_service import DemoService
from coordinator_site.price_feed import PriceFeed, Server
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from tests.servers.loopback import free_port
from tests.servers.serving import serving

ORDERS = {"method": "GET", "route": "/orders"}
Client = TestClient[Any, Any]


class Demo:
    def __init__(self, name: str, watches: str = "", prices: str = "") -> None:
        self.metrics = InMemoryMetricsAdapter()
        self.service = DemoService(name, metrics=self.metrics, watches=watches, prices=prices)
        self.client: Client = TestClient(TestServer(self.service.application()))


@pytest.fixture
async def exchange() -> AsyncIterator[Demo]:
    demo = Demo("exchange")
    async with demo.client:
        yield demo


async def test_an_order_is_accepted_and_listed_and_one_without_a_side_is_refused(exchange: Demo) -> None:
    accepted = await exchange.client.post("/orders", json={"side": "buy"})
    assert (accepted.status, (await accepted.json())["side"]) == (201, "buy")
    assert (await (await exchange.client.get("/orders")).json())["accepted"] == 1
    refused = await exchange.client.post("/orders", data=b"{")
    assert refused.status == 400
    assert "'buy' or 'sell'" in (await refused.json())["error"]


async def test_injected_latency_delays_every_answer_until_it_is_cleared(exchange: Demo) -> None:
    injected = await exchange.client.post("/chaos/latency", json={"delay_ms": 60})
    assert await injected.json() == {"active": True, "delay_ms": 60}
    await exchange.client.get("/orders")
    await exchange.client.delete("/chaos/latency")
    await exchange.client.get("/orders")
    quick, slow = sorted(
        exchange.metrics.observations("http_request_duration_seconds", {**ORDERS, "code": "200"})
    )
    assert slow >= 0.06
    assert quick < slow


async def test_injected_errors_answer_500_and_are_counted(exchange: Demo) -> None:
    await exchange.client.post("/chaos/errors", json={"rate": 1})
    assert (await exchange.client.get("/orders")).status == 500
    await exchange.client.delete("/chaos/errors")
    assert (await exchange.client.get("/orders")).status == 200
    assert exchange.metrics.value("http_request_errors_total", {**ORDERS, "code": "500"}) == 1


async def test_an_outage_gives_no_answer_at_all_but_can_be_looked_at_and_cleared(exchange: Demo) -> None:
    await exchange.client.post("/chaos/outage")
    with pytest.raises(ClientConnectionError):
        await exchange.client.get("/health")
    looked = await exchange.client.get("/chaos/outage")
    assert await looked.json() == {"active": True, "outage": True}
    await exchange.client.delete("/chaos/outage")
    assert (await exchange.client.get("/health")).status == 200


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/chaos/latency", b"", "delay_ms=None is not a number"),
        ("/chaos/latency", b'{"delay_ms": 1e9}', "at most 60000"),
        ("/chaos/errors", b'{"rate": 2}', "at most 1"),
        ("/chaos/errors", b'{"rate": true}', "is not a number"),
        ("/chaos/errors", b"{", "Expecting"),
    ],
)
async def test_an_injection_that_makes_no_sense_is_refused_and_nothing_is_injected(
    exchange: Demo, path: str, body: bytes, words: str
) -> None:
    answer = await exchange.client.post(path, data=body)
    assert answer.status == 400
    assert words in (await answer.json())["error"]
    assert not (await (await exchange.client.get(path)).json())["active"]


async def test_risk_monitor_reports_an_exchange_that_does_not_respond() -> None:
    demo = Demo("risk-monitor", watches=f"http://127.0.0.1:{free_port()}")
    async with demo.client:
        alerts: list[str] = []
        while not alerts:
            alerts = (await (await demo.client.get("/alerts")).json())["alerts"]
        assert alerts == ["the exchange does not answer"]


@pytest.fixture
def feed() -> Iterator[Server]:
    with serving(Server(("127.0.0.1", 0), PriceFeed)) as server:
        yield server


async def test_the_exchange_serves_its_last_prices_while_the_feed_has_none(
    feed: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo = Demo("exchange", prices=f"http://127.0.0.1:{feed.server_port}")
    async with demo.client:
        fresh = await (await demo.client.get("/prices")).json()
        assert not fresh["stale"]
        assert (await demo.client.get("/health/prices")).status == 200
        monkeypatch.setattr("coordinator_site.price_feed.ANSWERS", {})
        stale = await (await demo.client.get("/prices")).json()
        assert stale == {"prices": fresh["prices"], "stale": True}
        assert (await demo.client.get("/health/prices")).status == 503


async def test_an_exchange_that_never_had_prices_says_so() -> None:
    demo = Demo("exchange", prices=f"http://127.0.0.1:{free_port()}")
    async with demo.client:
        assert (await demo.client.get("/prices")).status == 503
