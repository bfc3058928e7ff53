"""What stays fast with many rows: `python benchmarks/many_rows.py [--scenarios N] [--runs N]
[--postgresql] [--only-deletions]`.

Lists of services among many scenarios; lists with their filters, outstanding faults, the watchdog's checks,
the retention, and deletions among many runs that have ended, each with ten events and two faults. On a
temporary SQLite file, with `--postgresql` on a temporary server or, with DATABASE_URL, on that database:
an empty one, or one that this program has filled. Requests pass through the whole application, without a
server. Goals are for the processor time of this process on SQLite, and for the wall time with PostgreSQL.
Exits with 1 if one is missed.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

from benchmarks.goals import Goals
from tests.servers.postgresql import postgresql, programs

# As a server for this many rows would have.
SERVER = {"fsync": "on", "shared_buffers": "1GB", "maintenance_work_mem": "256MB", "max_wal_size": "8GB"}


def measure(
    goals: Goals, *, scenarios: int, runs: int, times: int, batches: int, only_deletions: bool
) -> None:
    """On the database of the settings, which is filled first."""
    from benchmarks.rows import deletion, fill, lists, measure  # noqa: PLC0415 - needs Django's settings
    from scenarios.models import Run, Scenario  # noqa: PLC0415

    if Run.objects.exists():
        scenarios, runs = Scenario.objects.count(), Run.objects.count()
    else:
        fill.fill_with_scenarios(scenarios)
        fill.fill_with_runs(runs)
    print(f"among {scenarios} scenarios, and {runs} runs that have ended", flush=True)
    if not only_deletions:
        measure.measure_requests(goals, times)
        lists.measure_lists(goals)
        measure.measure_look(goals, times)
        measure.measure_retention(goals, batches)
        lists.vacuum(goals)
    deletion.measure_deletions(goals)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--batches", type=int, default=100)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--only-deletions", action="store_true")
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
        from django.core.management import call_command  # noqa: PLC0415
        from django.db import connections  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        goals = Goals()
        sizes = {name: value for name, value in vars(options).items() if name != "postgresql"}
        measure(goals, **sizes)
        connections.close_all()
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
