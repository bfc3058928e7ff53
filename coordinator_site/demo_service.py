"""A small service to break: the exchange and the risk monitor of `manage.py up`.

Its chaos endpoints really slow it down, make it fail or cut its connections, and its own metrics show that.
It keeps everything in memory and serves on loopback, for demonstrations and tests.

    GET  /health, GET|POST /orders        orders of the exchange
    GET  /prices                          of the price feed; its last ones while it fails
    GET  /alerts                          what the risk monitor notices
    POST|DELETE|GET /chaos/latency        inject {"delay_ms": 500}, clear, show
    POST|DELETE|GET /chaos/errors         inject {"rate": 0.5}, clear, show
    POST|DELETE|GET /chaos/outage         inject, clear, show
    GET  /metrics
"""

import asyncio
import itertools
import math
import random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from coordinator_site.demo_prices import Prices
from metrics_app.backend import new_adapter
from metrics_app.ports import MetricsPort

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_DELAY_MS = 60_000
KEPT_ORDERS = 1000
WATCH_SECONDS = 0.25
SLOW_SECONDS = 0.2
UNTOUCHED_BY_CHAOS = ("/chaos/", "/metrics")


class InjectionError(ValueError):
    """The body of a chaos request is invalid."""


@dataclass
class Chaos:
    """The faults that are injected now."""

    delay_ms: float = 0.0
    error_rate: float = 0.0
    outage: bool = False
    chance: random.Random = field(default_factory=random.Random)

    def state(self, kind: str) -> dict[str, Any]:
        value = {"latency": ("delay_ms", self.delay_ms), "errors": ("rate", self.error_rate)}
        name, amount = value.get(kind, ("outage", self.outage))
        return {"active": bool(amount), name: amount}

    def inject(self, kind: str, body: Any) -> None:
        """Raises InjectionError if the body is invalid."""
        if kind == "outage":
            self.outage = True
        elif kind == "latency":
            self.delay_ms = number(body, "delay_ms", highest=MAX_DELAY_MS)
        else:
            self.error_rate = number(body, "rate", highest=1.0)

    def clear(self, kind: str) -> None:
        if kind == "outage":
            self.outage = False
        elif kind == "latency":
            self.delay_ms = 0.0
        else:
            self.error_rate = 0.0


def number(body: Any, name: str, *, highest: float) -> float:
    value = body.get(name) if isinstance(body, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise InjectionError(f"{name}={value!r} is not a number; send a JSON object with {name!r}")
    if not 0 < value <= highest:
        raise InjectionError(f"{name}={value!r} must be above 0 and at most {highest:g}")
    return float(value)


class DemoService:
    """One service. A risk monitor gets the address of the exchange that it watches, and an exchange that of
    the feed of its prices.
    """

    def __init__(self, name: str, *, metrics: MetricsPort, watches: str = "", prices: str = "") -> None:
        self.name = name
        self.watches = watches
        self.prices = Prices(prices) if prices else None
        self.exposition = metrics.get_http_handler()
        self.recorder = metrics.request_recorder()
        self.chaos = Chaos()
        self.orders: deque[dict[str, Any]] = deque(maxlen=KEPT_ORDERS)
        self.order_numbers = itertools.count(1)
        self.alerts: list[str] = []

    def application(self) -> web.Application:
        # Metrics outermost, so that they show the effects of chaos.
        application = web.Application(middlewares=[self.measure, self.suffer])
        application.router.add_get("/health", self.health)
        application.router.add_get("/orders", self.list_orders)
        application.router.add_post("/orders", self.accept_order)
        application.router.add_get("/alerts", self.list_alerts)
        application.router.add_get("/metrics", self.metrics)
        kinds = "/chaos/{kind:latency|errors|outage}"
        application.router.add_get(kinds, self.show)
        application.router.add_post(kinds, self.inject)
        application.router.add_delete(kinds, self.clear)
        if self.prices is not None:
            self.prices.add_to(application)
        if self.watches:
            application.cleanup_ctx.append(self.watching)
        return application

    @web.middleware
    async def measure(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        started = asyncio.get_running_loop().time()
        code = web.HTTPInternalServerError.status_code
        self.recorder.begin(request.method)
        try:
            response = await handler(request)
            code = response.status
        except web.HTTPException as error:
            code = error.status
            raise
        finally:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "unmatched"
            seconds = asyncio.get_running_loop().time() - started
            self.recorder.finish((request.method, route, code), seconds)
        return response

    @web.middleware
    async def suffer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(UNTOUCHED_BY_CHAOS):
            return await handler(request)
        if self.chaos.outage:
            if request.transport is not None:
                request.transport.abort()  # no response at all, as from a service that is down
            raise web.HTTPServiceUnavailable
        await asyncio.sleep(self.chaos.delay_ms / 1000)
        if self.chaos.chance.random() < self.chaos.error_rate:
            return web.json_response({"error": "injected"}, status=500)
        return await handler(request)

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "healthy", "service": self.name})

    async def list_orders(self, _request: web.Request) -> web.Response:
        return web.json_response({"orders": list(self.orders)[-20:], "accepted": len(self.orders)})

    async def accept_order(self, request: web.Request) -> web.Response:
        try:
            order = await request.json()
        except ValueError:
            order = None
        if not isinstance(order, dict) or order.get("side") not in {"buy", "sell"}:
            rule = "send a JSON object with side 'buy' or 'sell'"
            return web.json_response({"error": rule}, status=400)
        accepted = {"id": next(self.order_numbers), "side": order["side"]}
        self.orders.append(accepted)
        return web.json_response(accepted, status=201)

    async def list_alerts(self, _request: web.Request) -> web.Response:
        return web.json_response({"watches": self.watches, "alerts": self.alerts})

    async def metrics(self, request: web.Request) -> web.Response:
        accept = request.headers.get("Accept", "")
        body = await asyncio.to_thread(self.exposition, accept)
        return web.Response(body=body, headers={"Content-Type": self.exposition.content_type(accept)})

    async def show(self, request: web.Request) -> web.Response:
        return web.json_response(self.chaos.state(request.match_info["kind"]))

    async def inject(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        try:
            self.chaos.inject(kind, await request.json() if request.can_read_body else None)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        return web.json_response(self.chaos.state(kind))

    async def clear(self, request: web.Request) -> web.Response:
        kind = request.match_info["kind"]
        self.chaos.clear(kind)
        return web.json_response(self.chaos.state(kind))

    async def watching(self, _application: web.Application) -> AsyncIterator[None]:
        task = asyncio.create_task(self.watch())
        yield
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def watch(self) -> None:
        async with ClientSession(self.watches, timeout=ClientTimeout(total=2)) as session:
            while True:
                self.alerts = await self.judge_exchange(session)
                await asyncio.sleep(WATCH_SECONDS)

    async def judge_exchange(self, session: ClientSession) -> list[str]:
        started = asyncio.get_running_loop().time()
        try:
            async with session.get("/orders") as response:
                await response.read()
        except (ClientError, TimeoutError):
            return ["the exchange does not answer"]
        alerts = []
        if response.status >= web.HTTPInternalServerError.status_code:
            alerts.append("the exchange answers with errors")
        if asyncio.get_running_loop().time() - started > SLOW_SECONDS:
            alerts.append("the exchange is slow")
        return alerts


def serve(name: str, *, host: str, port: int, watches: str = "", prices: str = "") -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        OSError: the port is in use.
    """
    metrics = new_adapter()
    application = DemoService(name, metrics=metrics, watches=watches, prices=prices).application()
    web.run_app(application, host=host, port=port, print=None, shutdown_timeout=1.0, access_log=None)
