"""Many runs that are due at once: `python benchmarks/many_at_once.py [--schedules N] [--runs N]
[--postgresql]`.

First, schedules that are all due in the same minute, while a worker that had injected a fault is killed. Then
the order in which runs of a few services begin, with MAX_CONCURRENT_RUNS=3 and three workers. On the embedded
default or, with `--postgresql`, on a temporary server. Exits with 1 if a goal is missed.
"""

import argparse
import random
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from benchmarks.installed import Entrance, entrance, installation
from tests.servers.coordinator import PROJECT, Coordinator
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

LEASE_SECONDS = 3.0
UNDONE_GOAL, BEAT_GOAL, IDLE_GOAL = LEASE_SECONDS + 3.0, 3.0, 2.0  # seconds
MAX_RUNS, WORKERS, SERVICES = 3, 3, 5
# A run must have been able to begin for so long to count as overtaken by one of another service: the end of a
# run names the moment before it was written, and writers wait for each other.
OVERTAKEN_AFTER = 3.0
LONG_FAULT = (PROJECT / "tests" / "servers" / "long-fault.yaml").read_text()
SHORT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: short}
spec: {phases: [{name: p, actions: [{name: wait, do: {wait: {duration: 10ms}}}]}]}
"""
BREAKING = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: breaking}
spec:
  variables: {service: {type: string}}
  phases:
    - name: chaos
      hold: 100ms
      actions:
        - name: break it
          do: {http: {service: "${service}", method: POST, path: /fault}}
          undo: {http: {service: "${service}", method: DELETE, path: /fault}}
"""
ENTRANCE = """
import sys
from django.db.models import Count
from django.utils import timezone
from scenarios.models import Heartbeat, Run, Schedule
from scenarios.runs import commands as run_commands
from scenarios.supervision import readiness
from tests.integration.scenarios import planned_rows
print('ready', flush=True)
for line in sys.stdin:
    verb, *words = line.split()
    if verb == 'schedules':
        ann = planned_rows.someone('ann', 'run_scenario')
        planned_rows.stored(SHORT, by=ann)
        for number in range(int(words[0])):
            planned_rows.scheduled(ann, name=f'schedule-{number}', scenario_name='short', is_paused=True)
        print('stored', flush=True)
    elif verb == 'due':
        Schedule.objects.update(is_paused=False, next_at=planned_rows.minute())
        print('due', flush=True)
    elif verb == 'beats':
        print(Heartbeat.objects.filter(name='watchdog').count(), flush=True)
    elif verb == 'watch':
        beat = Heartbeat.objects.get(name='watchdog').seen_at
        problem = readiness.find_problem(readiness.watchdog)
        begun = Run.objects.exclude(schedule=None).values('schedule').distinct().count()
        print((timezone.now() - beat).total_seconds(), int(bool(problem)), begun, flush=True)
    elif verb == 'times':
        Schedule.objects.update(is_paused=True)
        counts = Run.objects.exclude(schedule=None).values('schedule', 'queued_at__minute')
        print(*counts.annotate(count=Count('id')).values_list('count', flat=True), flush=True)
    elif verb == 'long':
        print(run_commands.start_run(LONG_FAULT, {}, origin='api').id, flush=True)
    elif verb == 'runs':
        for service in words:
            run_commands.start_run(BREAKING, {'service': service}, origin='api')
        print('queued', flush=True)
    elif verb == 'left':
        print(Run.objects.unfinished().count(), flush=True)
    else:
        for run in Run.objects.order_by('queued_at', 'id'):
            moments = [moment.timestamp() for moment in (run.queued_at, run.claimed_at, run.finished_at)]
            print(run.variables['service'], run.outcome, run.attempt, *moments, end=' ')
        print(flush=True)
"""


def measure_schedules(goals: Goals, count: int, *, on_postgresql: bool = False) -> None:
    """`count` schedules that are due in the same minute, beside a fault whose worker has died."""
    with running_target() as target, ExitStack() as stack:
        system = stack.enter_context(installation(on_postgresql=on_postgresql, **settings()))
        system.set_up(target=target.url)
        asked = stack.enter_context(entrance(system, program()))
        asked.ask(f"schedules {count}")
        system.start_watchdog()
        worker = system.start_worker()
        asked.ask("long")
        wait_for(lambda: target.active, what="the fault is injected")
        wait_for(lambda: asked.ask("beats") == ["1"], what="the watchdog is there")
        system.start_worker("another")
        asked.ask("due")
        worker.kill()
        worker.wait()
        killed = time.monotonic()
        beats, not_ready = _watch_until_started(asked, target, count)
        goals.tell(
            f"{count} schedules due at once: the last run is queued after", time.monotonic() - killed, "s"
        )
        goals.at_most("the watchdog's heartbeat meanwhile, oldest seen", max(beats), BEAT_GOAL, "s")
        goals.at_most(f"looks at `ready` that found no watchdog, of {len(beats)}", not_ready, 0)
        goals.at_most("kill -9 of a worker to its fault undone", target.undone_at - killed, UNDONE_GOAL, "s")
        starts = [int(number) for number in asked.ask("times")]
        wrong = sum(number > 1 for number in starts)
        goals.at_most("schedules that started two runs of one minute", wrong, 0)


def _watch_until_started(asked: Entrance, target: Target, count: int) -> tuple[list[float], int]:
    beats, not_ready = [], 0

    def all_started() -> bool:
        nonlocal not_ready
        age, is_silent, started = asked.ask("watch")
        beats.append(float(age))
        not_ready += int(is_silent)
        return int(started) >= count and not target.active

    wait_for(all_started, what="every schedule has started its run", seconds=600)
    return beats, not_ready


@dataclass(frozen=True, slots=True)
class Ended:
    """Moments in seconds."""

    service: str
    queued: float
    begun: float
    ended: float


def measure_line(goals: Goals, count: int, chance: random.Random, *, on_postgresql: bool = False) -> None:
    """`count` runs that each want one of five services."""
    with ExitStack() as stack:
        targets = [stack.enter_context(running_target()) for _ in range(SERVICES)]
        system = stack.enter_context(installation(on_postgresql=on_postgresql, **settings()))
        system.set_up(**{f"service-{number}": target.url for number, target in enumerate(targets)})
        asked = stack.enter_context(entrance(system, program()))
        asked.ask("runs " + " ".join(f"service-{chance.randrange(SERVICES)}" for _ in range(count)))
        _start_workers(system)
        wait_for(lambda: asked.ask("left") == ["0"], what="every run has ended", seconds=1800)
        rows = _read_rows(asked.ask("rows"))
        injected = sum(target.injected for target in targets)
    assert len(rows) == count
    goals.at_most(f"of {count} runs, not carried out or more than once", abs(count - injected), 0)
    goals.at_most("most at once", count_most_at_once(rows), MAX_RUNS)
    goals.at_most("runs that began beside another of their service", count_overlaps(rows), 0)
    goals.at_most("runs overtaken on their service", count_overtaken_on_service(rows), 0)
    goals.at_most("runs overtaken though they could have begun", count_overtaken(rows), 0)
    goals.at_most(
        "a place free beside a run that could begin, longest", find_longest_idle(rows), IDLE_GOAL, "s"
    )
    whole = max(row.ended for row in rows) - min(row.begun for row in rows)
    goals.tell("from the first run's begin to the last one's end", whole, "s")


def _start_workers(system: Coordinator) -> None:
    system.start_watchdog()
    for number in range(WORKERS):
        directory = system.data / f"metrics-{number}"
        system.start_worker(f"worker-{number}", PROMETHEUS_MULTIPROC_DIR=str(directory))


def _read_rows(words: Sequence[str]) -> list[Ended]:
    rows = [words[start : start + 6] for start in range(0, len(words), 6)]
    assert {(outcome, attempt) for _service, outcome, attempt, *_moments in rows} == {("passed", "1")}
    return [Ended(row[0], *map(float, row[3:])) for row in rows]


def settings() -> dict[str, str]:
    return {"LEASE_SECONDS": f"{LEASE_SECONDS:g}", "MAX_CONCURRENT_RUNS": str(MAX_RUNS)}


def program() -> str:
    texts = {"SHORT": SHORT, "LONG_FAULT": LONG_FAULT, "BREAKING": BREAKING}
    written = ENTRANCE
    for name, text in texts.items():
        written = written.replace(name, repr(text))
    return written


# Who began before whom: rows in the order in which they were queued


def count_most_at_once(rows: Iterable[Ended]) -> int:
    changes = sorted(change for row in rows for change in ((row.begun, 1), (row.ended, -1)))
    most = running = 0
    for _moment, change in changes:
        running += change
        most = max(most, running)
    return most


def count_overlaps(rows: Iterable[Ended]) -> int:
    ends: dict[str, float] = {}
    found = 0
    for row in sorted(rows, key=lambda row: row.begun):
        found += row.begun < ends.get(row.service, 0.0)
        ends[row.service] = row.ended
    return found


def count_overtaken_on_service(rows: Iterable[Ended]) -> int:
    """Runs that began after one of their service that was queued later."""
    found, first = 0, dict[str, float]()
    for row in reversed(list(rows)):
        found += row.begun > first.get(row.service, float("inf"))
        first[row.service] = min(row.begun, first.get(row.service, float("inf")))
    return found


def count_overtaken(rows: Sequence[Ended]) -> int:
    """Runs of which another, queued later, began while their own service had been free for a while."""
    free_since: dict[int, float] = {}
    last_end: dict[str, float] = {}
    for number, row in enumerate(rows):  # on one service, each begins after the one before it
        free_since[number] = max(row.queued, last_end.get(row.service, 0.0))
        last_end[row.service] = row.ended
    return sum(
        any(free_since[number] + OVERTAKEN_AFTER < later.begun < row.begun for later in rows[number + 1 :])
        for number, row in enumerate(rows)
    )


def find_longest_idle(rows: Sequence[Ended]) -> float:
    """The longest time in which a place was free, and a run could have begun there."""
    begins = sorted(row.begun for row in rows)
    longest = 0.0
    for moment in sorted({row.ended for row in rows}):
        running = [row for row in rows if row.begun <= moment < row.ended]
        busy = {row.service for row in running}
        waiting = [row for row in rows if row.begun > moment and row.service not in busy]
        if len(running) < MAX_RUNS and waiting:
            following = next(begun for begun in begins if begun > moment)
            longest = max(longest, following - moment)
    return longest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    goals = Goals()
    measure_schedules(goals, options.schedules, on_postgresql=options.postgresql)
    measure_line(goals, options.runs, random.Random(options.seed), on_postgresql=options.postgresql)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
