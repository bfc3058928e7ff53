"""Many workers on one PostgreSQL, with RQ on Redis: `python benchmarks/many_workers.py [--workers 8 50]`.

For each number of workers: what the database bears of workers that wait and of their runs, claims per
second, and a simulation: the statements of so many runs without their workers, beside what was
measured. Exits with 1 if a goal is missed.
"""

import argparse
import sys
import time
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from benchmarks.workers.installation import DatabaseWork, Installation, installation, measured_work
from benchmarks.workers.model import Model
from benchmarks.workers.simulation import simulate_runs
from tests.servers.loopback import wait_for
from tests.servers.target import running_target

LOOK_SECONDS = 20.0
SHORT_RUNS_EACH = 10
RUNNING = "SELECT count(*) FROM scenarios_run WHERE scenario_name = %s AND state = 'running'"
STORY = """
SELECT outcome, attempt, fence, worker, extract(epoch FROM claimed_at),
    (SELECT count(*) FROM scenarios_event e WHERE e.run_id = r.id AND kind = 'run_started')
FROM scenarios_run r WHERE scenario_name = %s ORDER BY queued_at, id
"""
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
REDIS_AWAY_SECONDS = 8.0


def measure(goals: Goals, workers: int) -> Model:
    with installation(workers) as installed:
        idle = look(goals, installed, f"{workers} workers that wait")
        installed.queue_runs("held", workers, "90s")
        wait_for(
            lambda: installed.count(RUNNING, "held") == workers, what="every worker has a run", seconds=600
        )
        held = look(goals, installed, f"{workers} workers with a run each that waits")
        installed.wait_until_ended("held")
        model = Model(workers, idle, held)
        measure_claims(goals, installed, workers)
        lose_redis(goals, installed, workers)
        return model


def look(goals: Goals, installed: Installation, what: str) -> DatabaseWork:
    with measured_work(installed) as found:
        time.sleep(LOOK_SECONDS)
    goals.tell(f"{what}: statements per second", found[0].statements)
    goals.tell(f"{what}: of a core, executing them", found[0].execution)
    goals.tell(f"{what}: of a core, all of the server's processes", found[0].processor)
    # Without the benchmark's own two.
    goals.tell(f"{what}: connections", installed.count(CONNECTIONS) - 2)
    return found[0]


def measure_claims(goals: Goals, installed: Installation, workers: int) -> None:
    """Short runs of no service, so that only the claims keep them from beginning."""
    count = SHORT_RUNS_EACH * workers
    with measured_work(installed) as found:
        begun = time.monotonic()
        installed.queue_runs("short", count, "10ms")
        installed.wait_until_ended("short")
        lasted = time.monotonic() - begun
    rows = installed.ask(STORY, "short")
    assert len(rows) == count
    wrong = [row for row in rows if (row[0], row[1], row[2], row[5]) != ("passed", 1, 1, 1)]
    goals.at_most(f"{workers} workers: of {count} runs, not carried out once", len(wrong), 0)
    moments = [float(row[4]) for row in rows]
    span = max(moments) - min(moments)
    goals.tell(f"{workers} workers: claims per second", count / span)
    goals.tell(f"{workers} workers: statements per run", found[0].statements * lasted / count)
    goals.tell(
        f"{workers} workers: processor time of the server per run",
        found[0].processor * lasted / count * 1000,
        "ms",
    )
    overtaken = max(
        sum(later < moment for later in moments[place + 1 :]) for place, moment in enumerate(moments)
    )
    goals.tell(f"{workers} workers: later runs that began before a run, at most", overtaken)
    shares = [sum(row[3] == worker for row in rows) for worker in {row[3] for row in rows}]
    goals.tell(
        f"{workers} workers: runs of the worker with the fewest", min(shares) if len(shares) == workers else 0
    )
    goals.tell(f"{workers} workers: runs of the worker with the most", max(shares))


def lose_redis(goals: Goals, installed: Installation, workers: int) -> None:
    """Each worker has injected a fault when Redis goes with all its content; runs are queued meanwhile."""
    with ExitStack() as stack:
        # Each has an address of its own: runs hold addresses, too.
        targets = [stack.enter_context(running_target()) for _ in range(workers)]
        services = [f"shop-{number}" for number in range(workers)]
        for name, target in zip(services, targets, strict=True):
            installed.register_services([name], target.url)
        installed.queue_faults(services)
        wait_for(lambda: all(target.active for target in targets), what="every fault is there", seconds=600)
        installed.redis.stop()
        installed.queue_runs("meanwhile", workers, "10ms")
        time.sleep(REDIS_AWAY_SECONDS)
        installed.redis.start()
        back = time.monotonic()
        installed.wait_until_ended("breaking")
        installed.wait_until_ended("meanwhile")
        goals.tell(f"{workers} workers: Redis back to every run ended", time.monotonic() - back, "s")
        goals.at_most(
            f"{workers} workers: faults left at the target", sum(target.active for target in targets), 0
        )
        open_faults = installed.count("SELECT count(*) FROM scenarios_fault WHERE state <> 'undone'")
        goals.at_most(f"{workers} workers: faults not undone in the ledger", open_faults, 0)
        lost = installed.count(
            "SELECT count(*) FROM scenarios_run WHERE scenario_name IN ('breaking', 'meanwhile') "
            "AND (outcome <> 'passed' OR attempt <> 1)"
        )
        goals.at_most(f"{workers} workers: of {2 * workers} runs, lost or not passed at once", lost, 0)
        goals.at_most(
            f"{workers} workers: injected twice", sum(target.injected for target in targets) - workers, 0
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, nargs="*", default=[8, 50])
    parser.add_argument("--simulate", type=int, nargs="*", default=[8, 50, 200, 1000])
    options = parser.parse_args()
    goals = Goals()
    models = [measure(goals, workers) for workers in options.workers]
    for model in models[1:]:
        models[0].compare(goals, model)
    for count in options.simulate:
        simulate_runs(goals, count)
    if models:
        models[-1].extrapolate(goals, 1000)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
