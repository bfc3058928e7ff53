"""The matrix of a suite among many runs: `python benchmarks/suite_matrix.py [--runs N] [--times N]`.

A suite of 10 dependencies and 12 faults, each cell proved by a run, among 100,000 runs that have ended. On a
temporary SQLite file or, with DATABASE_URL, on that database, which must be empty. Requests pass through the
whole application, without a server. The goal is for the wall time. Exits with 1 if it is missed.
"""

import argparse
import os
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")

from benchmarks.goals import Goals

DEPENDENCIES, PAGE_GOAL, GAUGE_GOAL = 10, 200.0, 20.0
FAULTS = (
    *("slow", "slower-than-timeout", "refused", "hanging", "resetting", "trickling"),
    *("fifth-failing", "paused", "process-killed", "cpu", "disk-full", "restart"),
)
HEAD = """\
apiVersion: coordinator/v1
kind: Suite
metadata: {name: shop}
spec:
  service: service-0
  healthy: {probe: {http: {service: service-0, path: /}}, expect: {status: 200}}
  depends_on:
"""


def store_proved_suite() -> str:
    """Returns the address of its page."""
    from django.urls import reverse  # noqa: PLC0415 - needs Django's settings
    from django.utils import timezone  # noqa: PLC0415

    from scenarios.domain.suite_states import CellState  # noqa: PLC0415
    from scenarios.models import Run  # noqa: PLC0415
    from scenarios.suites.documents import read_suite  # noqa: PLC0415
    from scenarios.suites.storage import save_suite  # noqa: PLC0415

    faults = ", ".join(FAULTS)
    lines = (
        f"    - {{service: service-{number}, kind: http, must: survive, faults: [{faults}]}}\n"
        for number in range(DEPENDENCIES)
    )
    suite = save_suite(read_suite(HEAD + "".join(lines)))
    now, cells = timezone.now(), list(suite.cells.all())
    states = (CellState.SURVIVED, CellState.DEGRADED, CellState.FAILED)
    for number, (cell, run) in enumerate(zip(cells, Run.objects.all()[: len(cells)], strict=True)):
        cell.state, cell.run, cell.reason = states[number % len(states)], run, "users noticed: status is 503"
        cell.proved_at, cell.fresh_until = now, now + timedelta(days=30)
        cell.save()
    return reverse("admin:scenarios_suite_change", args=[suite.pk])


def measure(goals: Goals, *, runs: int, times: int) -> None:
    from django.contrib.auth.models import User  # noqa: PLC0415
    from django.test import Client  # noqa: PLC0415

    from benchmarks.rows import fill  # noqa: PLC0415
    from benchmarks.rows.measure import Measured  # noqa: PLC0415
    from scenarios.supervision.gauges import read_gauges  # noqa: PLC0415

    fill.fill_with_scenarios(fill.SERVICES)
    fill.fill_with_runs(runs)
    address = store_proved_suite()
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(
        User.objects.create_superuser("benchmark"), "django.contrib.auth.backends.ModelBackend"
    )
    print(f"{DEPENDENCIES} dependencies × {len(FAULTS)} faults, among {runs} runs", flush=True)
    asked = {
        "the page of the suite": (address, PAGE_GOAL),
        "GET /suites/shop/matrix": ("/api/v1/suites/shop/matrix", PAGE_GOAL),
        "the list of suites": ("/admin/scenarios/suite/", PAGE_GOAL),
    }
    for what, (place, goal) in asked.items():
        measured = Measured()
        for _ in range(times):
            answer = measured.call(lambda: browser.get(place))  # noqa: B023 - called at once
            assert answer.status_code == 200, answer.status_code
        goals.at_most(f"{what}: wall, p50", measured.wall, goal, "ms")
        goals.tell(f"{what}: processor, p50", measured.cpu, "ms")
    measured = Measured()
    for _ in range(times):
        measured.call(lambda: list(read_gauges()))
    goals.at_most("all gauges of a scrape: wall, p50", measured.wall, GAUGE_GOAL, "ms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--times", type=int, default=50)
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
