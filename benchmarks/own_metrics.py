"""A declared metric compared with prometheus_client's, and the ASGI middleware with starlette_exporter's.

    python -m benchmarks.own_metrics [--rounds 60]

Both store values in files, which several processes need. Figures are processor time, medians over rounds in
which the variants take turns, so that a machine that changes its speed changes all of them. The middlewares
are compared if `starlette` and `starlette-exporter` are installed; a temporary environment with these and
`prometheus-client` is enough.
"""

import argparse
import asyncio
import gc
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from operator import sub
from pathlib import Path
from time import thread_time
from typing import Any

DIRECTORY = tempfile.TemporaryDirectory()
# Before prometheus_client is imported: it decides then where its values are stored.
os.environ["PROMETHEUS_MULTIPROC_DIR"] = DIRECTORY.name

from prometheus_client import Counter, Histogram  # noqa: E402 - as above

from benchmarks.goals import Goals  # noqa: E402
from metrics_app import current, metrics  # noqa: E402
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter  # noqa: E402

CALLS = 2000
REQUESTS = 200
ROUTES = (1, 20)
"""Of the smallest service, and of a small one; the last route is asked for."""

Variant = Callable[[], None]


def measure(
    variants: Mapping[str, Callable[[int], float]], rounds: int, times: int
) -> dict[str, list[float]]:
    """Microseconds for one call of each variant in each round; it is given how often, and returns seconds."""
    taken: dict[str, list[float]] = {name: [] for name in variants}
    for number in range(rounds + 1):
        names = list(variants)
        # Each round begins with another one.
        for name in names[number % len(names) :] + names[: number % len(names)]:
            gc.collect()
            taken[name].append(variants[name](times) / times * 1e6)
    return {name: figures[1:] for name, figures in taken.items()}  # the first round warms up


def timed(call: Variant) -> Callable[[int], float]:
    def run(times: int) -> float:
        start = thread_time()
        for _ in range(times):
            call()
        return thread_time() - start

    return run


def instruments() -> dict[str, Callable[[int], float]]:
    ours = metrics.counter("shop_orders_total", "Orders placed.", labels=("channel",))
    ours_took = metrics.histogram("shop_seconds", "Time.", labels=("channel",))
    theirs = Counter("their_orders_total", "Orders placed.", ["channel"])
    theirs_took = Histogram("their_seconds", "Time.", ["channel"])
    bound, their_bound = ours.labels(channel="web"), theirs.labels(channel="web")
    took, their_took = ours_took.labels(channel="web"), theirs_took.labels(channel="web")
    return {
        "ours bound": timed(bound.inc),
        "theirs bound": timed(their_bound.inc),
        "ours by labels": timed(lambda: ours.labels(channel="web").inc()),
        "theirs by labels": timed(lambda: theirs.labels(channel="web").inc()),
        "ours observe": timed(lambda: took.observe(0.3)),
        "theirs observe": timed(lambda: their_took.observe(0.3)),
    }


def requests_through(app: Any) -> Callable[[int], float]:
    async def send(_message: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def ask(times: int) -> float:
        scopes = [
            {
                "type": "http",
                "method": "GET",
                "path": "/items/7",
                "raw_path": b"/items/7",
                "query_string": b"",
                "root_path": "",
                "scheme": "http",
                "server": ("127.0.0.1", 80),
                "client": ("127.0.0.1", 5000),
                "http_version": "1.1",
                "headers": [(b"host", b"localhost"), (b"user-agent", b"benchmark"), (b"accept", b"*/*")],
            }
            for _ in range(times)
        ]
        start = thread_time()
        for scope in scopes:
            await app(scope, receive, send)
        return thread_time() - start

    return lambda times: asyncio.run(ask(times))


def applications(routes: int) -> dict[str, Callable[[int], float]]:
    from starlette.applications import Starlette  # noqa: PLC0415 - perhaps not installed
    from starlette.responses import PlainTextResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415
    from starlette_exporter import PrometheusMiddleware  # noqa: PLC0415

    from metrics_app.asgi import RequestMetrics  # noqa: PLC0415

    async def item(_request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok")

    def made(middleware: Any) -> Starlette:
        others = [Route(f"/group{number}/{{key}}", item) for number in range(routes - 1)]
        app = Starlette(routes=[*others, Route("/items/{number}", item)])
        if middleware is not None:
            app.add_middleware(middleware)
        return app

    variants = {"none": None, "ours": RequestMetrics, "starlette_exporter": PrometheusMiddleware}
    return {name: requests_through(made(middleware)) for name, middleware in variants.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=60)
    rounds = parser.parse_args().rounds
    adapter = PrometheusMetricsAdapter(directory=Path(DIRECTORY.name) / "slots")
    # Not by the settings, which would have prometheus_client's values stored by this package, too.
    current.set_up(current.Setup(lambda: adapter, lambda: True, lambda: None))
    goals = Goals()
    found = {name: statistics.median(taken) for name, taken in measure(instruments(), rounds, CALLS).items()}
    for name, figure in found.items():
        goals.tell(name, figure, "µs")
    for what in ("bound", "by labels", "observe"):
        goals.at_most(f"{what}: ours, as part of theirs", found[f"ours {what}"] / found[f"theirs {what}"], 1)
    if find_spec("starlette_exporter") is None:
        print("starlette-exporter is not installed: the middlewares are left out")
        return goals.status
    for routes in ROUTES:
        compare_middlewares(goals, routes, rounds)
    return goals.status


def compare_middlewares(goals: Goals, routes: int, rounds: int) -> None:
    taken = measure(applications(routes), rounds, REQUESTS)
    without = taken.pop("none")
    # Within each round, because the machine may have another pace in the next one.
    added = {name: statistics.median(map(sub, figures, without)) for name, figures in taken.items()}
    which = f"{routes} routes" if routes > 1 else "one route"
    goals.tell(f"{which}: a request without metrics", statistics.median(without), "µs")
    for name, figure in added.items():
        goals.tell(f"{which}: added by {name}", figure, "µs")
    part = added["ours"] / added["starlette_exporter"]
    goals.at_most(f"{which}: ours, as part of starlette_exporter's", part, 0.1)


if __name__ == "__main__":
    sys.exit(main())
