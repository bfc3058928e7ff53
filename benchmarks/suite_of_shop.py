"""A whole suite against real servers: `python benchmarks/suite_of_shop.py`.

A shop that knows nothing of chaos depends on a backend, PostgreSQL and Redis, each behind a fault proxy.
`scenario suite run shop` fills its matrix in one go: goal 15 minutes, each cell with its evidence. Prints the
matrix. Needs root, PostgreSQL, Redis and stress-ng. Exits with 1 on a miss.
"""

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from tests.servers.loopback import free_port
from tests.servers.newcomer import Newcomer
from tests.servers.plain_system import (
    PlainSystem,
    create_orders,
    plain_system,
    price_feed,
    small_folder,
)
from tests.servers.postgresql import postgresql, programs
from tests.servers.redis_server import redis_server

MINUTES_GOAL = 15.0
KINDS = {"prices": "http", "shop-db": "postgres", "cache": "redis"}
SUITE = """
apiVersion: coordinator/v1
kind: Suite
metadata: {{name: shop, title: What the shop survives}}
spec:
  service: shop
  healthy: {{probe: {{http: {{service: shop, path: /all}}}}, expect: {{status: 200, elapsed: {{below: 2s}}}}}}
  load: {{rate: 10/s, request: {{http: {{service: shop, path: /all}}}}}}
  depends_on:
    - {{service: shop-db, kind: postgresql, must: fail, variables: {{user: coordinator}}}}
    - {{service: cache, kind: redis, must: survive}}
    - {{service: prices, kind: http, must: survive, host: this-host, port: {port}, folder: {folder}}}
  recover_within: 20s
"""


def register(system: PlainSystem, addresses: dict[str, str]) -> None:
    newcomer = Newcomer(system)
    newcomer.register("shop", system.url)
    for name in KINDS:
        proxy = ("--proxy", f"http://127.0.0.1:{system.control}")
        listener = ("--proxy-listener", f"127.0.0.1:{system.listeners[name]}")
        newcomer.register(name, addresses[name], *proxy, *listener)
    system.commands.manage("scenario", "host", "add", "this-host")


def run_suite(system: PlainSystem, file: Path) -> dict[str, Any]:
    """The matrix afterwards; a cell that failed is reported, and is not an error here."""
    manage = system.commands.manage
    manage("scenario", "import", str(file))
    try:
        print(manage("scenario", "suite", "run", "shop"), flush=True)
    except AssertionError as error:
        print(error, flush=True)
    matrix: dict[str, Any] = json.loads(manage("scenario", "suite", "show", "shop", "--json"))
    return matrix


def main() -> int:
    installed = programs()
    assert installed is not None, "PostgreSQL is not installed"
    goals = Goals()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        database = stack.enter_context(postgresql(installed)).new_database()
        create_orders(database)
        inside = stack.enter_context(small_folder(folder / "disk"))
        port = free_port()
        stack.enter_context(price_feed(port, inside))
        cache = stack.enter_context(redis_server(folder))
        addresses = {"postgres": database, "redis": cache.url, "http": f"http://127.0.0.1:{port}/prices"}
        system = stack.enter_context(plain_system(folder / "data", addresses))
        system.start_proxy(KINDS)
        system.start_shop(
            {name: system.find_behind_proxy(name, kind) for name, kind in KINDS.items()}, inside
        )
        system.installed.start_watchdog()
        system.start_worker("worker", inside)
        register(
            system,
            {
                "prices": f"http://127.0.0.1:{port}",
                "shop-db": "postgres://" + database.rpartition("@")[2],
                "cache": cache.url,
            },
        )
        (file := folder / "shop.yaml").write_text(SUITE.format(port=port, folder=folder / "disk"))
        begun = time.monotonic()
        matrix = run_suite(system, file)
        minutes = (time.monotonic() - begun) / 60
        for cell in matrix["cells"]:
            reason = (cell["obstacle"] or cell["reason"])[:90]
            run = (cell["run"] or "")[:8]
            print(f"{cell['dependency']:<10}{cell['fault']:<22}{cell['state']:<12}{run:<10}{reason}")
        print(json.dumps(matrix["counts"]))
        goals.at_most("scenario suite run shop", minutes, MINUTES_GOAL, "min")
        without = [cell for cell in matrix["cells"] if cell["state"] != "skipped" and not cell["run"]]
        goals.at_most("cells without evidence that could be tried", len(without), 0)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
