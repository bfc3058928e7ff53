"""An upgrade from an earlier version with many rows: `python benchmarks/migrations.py [--runs N]
[--events-each N] [--first NAME] [--postgresql]`.

Runs of the version that ended with the migration `--first`, then each later migration with its time, beside
somebody who writes to a run all the time, as workers of the earlier version do during an upgrade. Exits
with 1 if that one waits for more than a second on PostgreSQL. On SQLite, migrations lock the whole file:
everything is stopped for them.
"""

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

from benchmarks.goals import Goals
from tests.servers.postgresql import postgresql, programs

SERVER = {"fsync": "on", "shared_buffers": "1GB", "maintenance_work_mem": "256MB", "max_wal_size": "8GB"}
WAIT_GOAL, TOLD_SECONDS = 1000.0, 0.5


def fill(apps: Any, runs: int, events_each: int) -> Any:
    """Ended runs with events and a fault each, as the models of that version have them; returns one's key."""
    from datetime import timedelta  # noqa: PLC0415

    from django.db import connection  # noqa: PLC0415
    from django.utils import timezone  # noqa: PLC0415

    from benchmarks.rows.fill import copy_row, copy_run, number_rows  # noqa: PLC0415 - needs Django's settings
    from tests.integration.scenarios.story_rows import DOCUMENT  # noqa: PLC0415

    now = timezone.now()
    ended = {
        "state": "finished",
        "outcome": "passed",
        "rollback": "clean",
        "claimed_at": now,
        "finished_at": now,
    }
    run = apps.get_model("scenarios", "Run").objects.create(
        scenario_name="exchange-latency", document=DOCUMENT, started_from="api", **ended
    )
    fault = apps.get_model("scenarios", "Fault").objects.create(
        run=run, order=1, phase="chaos", action="slow it down", driver="http", timeout=5, state="undone",
        undo={"driver": "http", "arguments": {"service": "exchange", "method": "DELETE", "path": "/chaos"}},
        opened_at=now, closed_at=now,
    )  # fmt: skip
    event = apps.get_model("scenarios", "Event").objects.create(
        run=run, sequence=1, kind="action_finished", at=now, detail={"seen": {"status": 200}}
    )
    copy_run(run, runs - 1, now, timedelta(minutes=1), "queued_at", "claimed_at", "finished_at")
    others = "SELECT r.id, m.n FROM scenarios_run r CROSS JOIN ({}) m WHERE r.id <> {}"
    own = f"'{run.pk}'" if connection.vendor == "postgresql" else f"'{run.pk.hex}'"
    copy_row(fault, others.format(number_rows(1), own), run_id="e.id")
    copy_row(event, others.format(number_rows(events_each), own), run_id="e.id", sequence="e.n")
    return run.pk


@contextmanager
def beside_a_worker(key: Any) -> Iterator[list[float]]:
    """How many milliseconds each write to that run takes."""
    from django.db import connection  # noqa: PLC0415

    waits: list[float] = []
    over = threading.Event()
    own = str(key) if connection.vendor == "postgresql" else key.hex

    def write() -> None:
        while not over.is_set():
            begun = time.perf_counter()
            with connection.cursor() as cursor:
                cursor.execute("UPDATE scenarios_run SET reason = reason WHERE id = %s", [own])
            waits.append((time.perf_counter() - begun) * 1000)
            over.wait(0.005)
        connection.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield waits
    finally:
        over.set()
        writer.join()


def measure(goals: Goals, options: argparse.Namespace) -> None:
    from django.db import connection  # noqa: PLC0415
    from django.db.migrations.executor import MigrationExecutor  # noqa: PLC0415

    executor = MigrationExecutor(connection)
    leaves = executor.loader.graph.leaf_nodes()
    first = ("scenarios", options.first)
    executor.migrate([*(leaf for leaf in leaves if leaf[0] != "scenarios"), first])
    key = fill(executor.loader.project_state([first]).apps, options.runs, options.events_each)
    print(f"{options.runs} runs with {options.events_each} events each, after {options.first}", flush=True)
    later = [
        node for node in executor.loader.graph.forwards_plan(select_leaves(leaves)) if node[0] == "scenarios"
    ]
    total, longest = 0.0, 0.0
    for node in later[later.index(first) + 1 :]:
        executor = MigrationExecutor(connection)
        begun = time.perf_counter()
        with ExitStack() as stack:
            waits = stack.enter_context(beside_a_worker(key)) if options.postgresql else [0.0]
            executor.migrate([node])
        lasted = time.perf_counter() - begun
        total, longest = total + lasted, max(longest, *waits)
        if lasted > TOLD_SECONDS or max(waits) > TOLD_SECONDS * 1000:
            goals.tell(f"{node[1]}", lasted, "s")
            if options.postgresql:
                goals.tell("  a worker of the earlier version waits, at most", max(waits), "ms")
    goals.tell("all migrations", total, "s")
    if options.postgresql:
        goals.at_most("a worker of the earlier version waits, at most", longest, WAIT_GOAL, "ms")


def select_leaves(leaves: Any) -> Any:
    (leaf,) = (node for node in leaves if node[0] == "scenarios")
    return leaf


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20_000)
    parser.add_argument("--events-each", type=int, default=5)
    parser.add_argument("--first", default="0001_initial")
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        if options.postgresql:
            found = programs()
            assert found is not None, "PostgreSQL is not installed: apt-get install postgresql"
            os.environ["DATABASE_URL"] = stack.enter_context(postgresql(found, **SERVER)).new_database()
        os.environ["DATA_DIR"] = stack.enter_context(tempfile.TemporaryDirectory())
        os.environ["LOG_LEVEL"] = "ERROR"
        import django  # noqa: PLC0415

        django.setup()
        from django.db import connections  # noqa: PLC0415

        goals = Goals()
        measure(goals, options)
        connections.close_all()
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
