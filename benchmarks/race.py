"""Workers that race for runs on PostgreSQL: `python benchmarks/race.py [--queue rq] [--runs 500]`.

Each worker has a metrics directory of its own, as on a machine of its own. Exits with 1 unless every run was
carried out once.
"""

import argparse
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.postgresql import postgresql, programs
from tests.servers.redis_server import redis_server

QUEUE_RUNS = """
from scenarios.runs.commands import start_run
document = '''
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: short}
spec: {phases: [{name: p, actions: [{name: wait, do: {wait: {duration: 10ms}}}]}]}
'''
for _ in range(RUNS):
    start_run(document, {}, origin="cli")
"""
STORY = """
import json
from collections import Counter
from django.db.models import Count, Q
from scenarios.models import Run
runs = Run.objects.annotate(starts=Count("events", filter=Q(events__kind="run_started")))
stories = Counter(runs.values_list("outcome", "attempt", "fence", "starts"))
print(json.dumps([len(runs), len(set(runs.values_list("worker", flat=True))), list(stories.items())]))
"""


def race(system: Coordinator, workers: int, runs: int) -> int:
    system.set_up()
    system.manage("shell", "--no-imports", "-c", QUEUE_RUNS.replace("RUNS", str(runs)))
    started = time.monotonic()
    for number in range(workers):
        directory = system.data / f"metrics-{number}"
        system.start_worker(f"worker-{number}", PROMETHEUS_MULTIPROC_DIR=str(directory))
    unfinished = "from scenarios.models import Run; print(Run.objects.unfinished().count())"
    wait_for(
        lambda: system.manage("shell", "--no-imports", "-c", unfinished).strip() == "0",
        what="every run has ended",
        seconds=600,
    )
    seconds = time.monotonic() - started
    found, used, stories = json.loads(system.manage("shell", "--no-imports", "-c", STORY))
    once = stories == [[["passed", 1, 1, 1], runs]]
    print(f"{found} runs, {used} of {workers} workers, {seconds:.1f} s")
    print("each was carried out once" if once else f"MISSED: (outcome, attempt, fence, starts): {stories}")
    return 0 if once else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", choices=["db", "rq"], default="db")
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--runs", type=int, default=500)
    options = parser.parse_args()
    found = programs()
    assert found is not None, "PostgreSQL is not installed"
    with ExitStack() as stack:
        database = stack.enter_context(postgresql(found))
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        settings = {"TASK_BACKEND": options.queue, "MAX_CONCURRENT_RUNS": "100"}
        if options.queue == "rq":
            settings["REDIS_URL"] = stack.enter_context(redis_server(data)).url
        system = stack.enter_context(coordinator(data, DATABASE_URL=database.url, **settings))
        return race(system, options.workers, options.runs)


if __name__ == "__main__":
    sys.exit(main())
