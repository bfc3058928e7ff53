"""What stays fast with many rows: `python benchmarks/many_rows.py [--scenarios N] [--runs N]`.

Lists of services among many scenarios; outstanding faults, the watchdog's checks and the retention among
many runs that have ended, each with ten events and two faults. On a temporary SQLite file or, with
DATABASE_URL, on that database, which must be empty. Requests pass through the whole application, without a
server. Goals are for the processor time of this process on SQLite, and for the wall time with PostgreSQL.
Exits with 1 if one is missed.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

from benchmarks.goals import Goals


def measure(goals: Goals, *, scenarios: int, runs: int, times: int, batches: int) -> None:
    """On the database of the settings, which is filled first."""
    from benchmarks.rows import fill, measure  # noqa: PLC0415 - needs Django's settings

    fill.fill_with_scenarios(scenarios)
    fill.fill_with_runs(runs)
    print(f"among {scenarios} scenarios, and {runs} runs that have ended", flush=True)
    measure.measure_requests(goals, times)
    measure.measure_look(goals, times)
    measure.measure_retention(goals, batches)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenarios", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=300_000)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--batches", type=int, default=100)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as data:
        os.environ["DATA_DIR"] = data
        os.environ["LOG_LEVEL"] = "ERROR"
        import django  # noqa: PLC0415

        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        goals = Goals()
        measure(goals, **vars(options))
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
