"""How quickly a run starts and ends, with real processes: `python benchmarks/run_lifecycle.py [--kills 200]`.

With `--late 100`, how many targets that continue an injection after its connection was cut are left broken.

The embedded default (SQLite, django-tasks-db), one worker, one watchdog, a lease of 3 s, and a target
that notes the moment of each injection and each undo. With `--postgresql`, on a temporary server.
Exits with 1 if a goal is missed.
"""

import argparse
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from benchmarks.installed import Entrance, entrance, installation
from benchmarks.late_injections import Left, late_injections
from tests.servers.coordinator import PROJECT, Coordinator
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

# An injection whose worker is killed is awaited for the action's timeout, and the next run waits for that.
LONG_FAULT = (
    (PROJECT / "tests" / "servers" / "long-fault.yaml")
    .read_text()
    .replace("- name: break the target", "- name: break the target\n          timeout: 2s")
)
LEASE_SECONDS = 3.0
# A kill falls so many seconds at most after a moment that is waited for, by these shares: the run's first
# event, the fault's entry in the ledger, or the moment at which the target sees its injection.
MOMENTS = {"begun": (0.1, 0.4), "written": (0.3, 0.05), "injected": (0.4, 0.02), "active": (0.2, 0.3)}
START_GOAL, STOP_GOAL, SIGTERM_GOAL, KILL_GOAL = 0.5, 1.0, 0.5, LEASE_SECONDS + 3.0
# One process that starts and stops runs as an entrance does, without the half second of a new command.
ENTRANCE = """
import sys, time
from scenarios.runs import commands as run_commands
from scenarios.models import Event, Fault, Run
print('ready', flush=True)
for line in sys.stdin:
    verb, *words = line.split()
    if verb == 'start':
        began = time.monotonic()
        run = run_commands.start_run(DOCUMENT, {}, origin='api')
        while not Event.objects.filter(run=run).exists():
            time.sleep(0.002)
        print(run.id, time.monotonic() - began, flush=True)
    elif verb == 'written':
        while not Fault.objects.filter(run=words[0]).exists():
            time.sleep(0.001)
        print('written', flush=True)
    elif verb == 'open':
        print(Fault.objects.still_open().count(), flush=True)
    elif verb == 'fault':
        print(*Fault.objects.filter(run=words[0]).values_list('state', flat=True), flush=True)
    elif verb == 'stop':
        run_commands.request_stop(Run.objects.get(id=words[0]), by='benchmark')
        print('asked', flush=True)
    else:
        print(*Run.objects.filter(id=words[0]).values_list('state', 'outcome', 'rollback').get(), flush=True)
"""


@dataclass
class Times:
    start: list[float] = field(default_factory=list)
    stop: list[float] = field(default_factory=list)
    sigterm: list[float] = field(default_factory=list)
    kill: list[float] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    dirty: int = 0
    undone_twice: int = 0


class Bench:
    def __init__(self, system: Coordinator, target: Target, entrance: Entrance) -> None:
        self.system = system
        self.target = target
        self.ask = entrance.ask
        self.times = Times()

    def start(self) -> str:
        run, seconds = self.ask("start")
        self.times.start.append(float(seconds))
        return run

    def wait_until_finished(self, run: str) -> list[str]:
        wait_for(lambda: self.ask(f"look {run}")[0] == "finished", what=f"run {run} ends")
        return self.ask(f"look {run}")

    def stop_one(self) -> None:
        run = self.start()
        wait_for(lambda: self.target.active, what="injected")
        began = time.monotonic()
        self.ask(f"stop {run}")
        wait_for(lambda: not self.target.active, what="undone")
        self.times.stop.append(self.target.undone_at - began)
        self.wait_until_finished(run)

    def sigterm_one(self, worker: Any) -> None:
        self.ask("start")  # not noted: the worker may have to start first
        wait_for(lambda: self.target.active, what="injected")
        began = time.monotonic()
        worker.terminate()
        worker.wait(30)
        self.times.sigterm.append(self.target.undone_at - began)

    def kill_one(self, worker: Any, chance: random.Random) -> None:
        """At a random moment of the fault's life, or of the run's before it."""
        # A fault of the kill before that was never answered is undone again after the run's end.
        wait_for(lambda: self.ask("open") == ["0"], what="no fault is open")
        injected, undone = self.target.injected, self.target.undone
        run = self.ask("start")[0]
        (moment,) = chance.choices(list(MOMENTS), [share for share, _ in MOMENTS.values()])
        if moment == "written":
            self.ask(f"written {run}")
        elif moment != "begun":
            while self.target.injected == injected:
                time.sleep(0.001)
        time.sleep(chance.uniform(0.0, MOMENTS[moment][1]))
        worker.kill()
        worker.wait()
        began = time.monotonic()
        state = " ".join(self.ask(f"fault {run}")) or "none"
        self.times.met[state] += 1
        _state, _outcome, rollback = self.wait_until_finished(run)
        self.times.dirty += rollback == "dirty" or self.target.active > 0
        if self.target.injected > injected:
            self.times.kill.append(self.target.undone_at - began)
            # One that was not answered is undone again on purpose: it may have arrived after its undo.
            self.times.undone_twice += state == "active" and self.target.undone - undone > 1


@contextmanager
def bench(*, on_postgresql: bool) -> Iterator[Bench]:
    settings = {"LEASE_SECONDS": f"{LEASE_SECONDS:g}", "LATE_INJECTION_SECONDS": "1"}
    program = ENTRANCE.replace("DOCUMENT", repr(LONG_FAULT))
    with running_target() as target, installation(on_postgresql=on_postgresql, **settings) as system:
        system.set_up(target=target.url)
        with entrance(system, program) as asked:
            yield Bench(system, target, asked)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def report_late(goals: Goals, left: Left) -> None:
    goals.tell(f"injections that arrived late, of {left.cases} cut off", left.arrived)
    goals.at_most(f"targets left broken, of {left.cases} that were late", left.broken, 0)


def report(goals: Goals, times: Times, kills: int) -> None:
    goals.at_most(
        f"start to the first event, p95 of {len(times.start)}", percentile(times.start, 0.95), START_GOAL, "s"
    )
    goals.at_most(
        f"stop to the fault undone, p95 of {len(times.stop)}", percentile(times.stop, 0.95), STOP_GOAL, "s"
    )
    median = statistics.median(times.sigterm)
    goals.at_most(f"SIGTERM to the fault undone, median of {len(times.sigterm)}", median, SIGTERM_GOAL, "s")
    if times.kill:
        longest = max(times.kill)
        goals.at_most(f"kill -9 to the fault undone, longest of {len(times.kill)}", longest, KILL_GOAL, "s")
    for state, count in times.met.most_common():
        goals.tell(f"kills that met a fault in this state of the ledger: {state}", count)
    goals.at_most(f"runs left dirty, of {kills} killed", times.dirty, 0)
    goals.at_most(f"faults undone twice, of {kills} killed", times.undone_twice, 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--late", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgresql", action="store_true")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    with bench(on_postgresql=options.postgresql) as measured:
        worker = measured.system.start_worker()
        measured.stop_one()  # the first run also waits for the worker's start
        measured.times = Times()
        for _ in range(options.rounds):
            measured.stop_one()
        for _ in range(options.rounds // 4):
            measured.sigterm_one(worker)
            worker = measured.system.start_worker()
        measured.system.start_watchdog()
        for _ in range(options.kills):
            measured.kill_one(worker, chance)
            worker = measured.system.start_worker()
        goals = Goals()
        report(goals, measured.times, options.kills)
    if options.late:
        report_late(goals, late_injections(options.late, chance, on_postgresql=options.postgresql))
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
