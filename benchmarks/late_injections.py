"""Targets that continue an injection for a while after it was cut off: how many are left broken.

A part of `run_lifecycle.py`. Each case has a service of its own, so that no run waits for another's fault.
"""

import random
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.installed import Entrance, entrance, installation
from tests.servers.coordinator import Coordinator
from tests.servers.loopback import wait_for
from tests.servers.target import Target, running_target

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: late}
spec:
  variables: {service: {type: string}, limit: {type: duration}}
  phases:
    - name: chaos
      hold: 5m
      actions:
        - name: break it
          timeout: "${limit}"
          do: {http: {service: "${service}", method: POST, path: /fault}}
          undo: {http: {service: "${service}", method: DELETE, path: /fault}}
"""
# How the injection is cut off.
WAYS = ("its own timeout", "a stop", "SIGTERM", "SIGKILL")
ENTRANCE = """
import sys
from scenarios.runs import commands as run_commands
from scenarios.models import Fault, Run
print('ready', flush=True)
for line in sys.stdin:
    verb, *words = line.split()
    if verb == 'start':
        run = run_commands.start_run(DOCUMENT, {'service': words[0], 'limit': words[1]}, origin='api')
        print(run.id, flush=True)
    elif verb == 'stop':
        run_commands.request_stop(Run.objects.get(id=words[0]), by='benchmark')
        print('asked', flush=True)
    else:
        print(Fault.objects.still_open().count(), Run.objects.unfinished().count(), flush=True)
"""


@dataclass(frozen=True)
class Left:
    """Of `cases`, how many targets were `broken` when every fault was closed; all had `arrived` by then."""

    cases: int
    arrived: int
    broken: int


class Bench:
    def __init__(self, system: Coordinator, targets: list[Target], entrance: Entrance) -> None:
        self.system = system
        self.targets = targets
        self.ask = entrance.ask
        self.worker = system.start_worker()

    def cut_off(self, number: int, way: str) -> None:
        target = self.targets[number]
        limit = "500ms" if way == "its own timeout" else "5s"
        (run,) = self.ask(f"start target-{number} {limit}")
        wait_for(lambda: target.asked, what="the injection is asked for")
        if way == "a stop":
            self.ask(f"stop {run}")
        elif way != "its own timeout":
            self.worker.send_signal(15 if way == "SIGTERM" else 9)
            self.worker.wait()
            self.worker = self.system.start_worker()

    def wait_until_closed(self, seconds: float) -> None:
        wait_for(lambda: self.ask("look") == ["0", "0"], what="every fault is closed", seconds=seconds)


@contextmanager
def bench(cases: int, late_seconds: int, *, on_postgresql: bool) -> Iterator[Bench]:
    settings = {"LATE_INJECTION_SECONDS": str(late_seconds), "LEASE_SECONDS": "3"}
    with ExitStack() as stack:
        targets = [stack.enter_context(running_target()) for _ in range(cases)]
        system = stack.enter_context(installation(on_postgresql=on_postgresql, **settings))
        system.set_up(**{f"target-{number}": target.url for number, target in enumerate(targets)})
        system.start_watchdog()
        program = ENTRANCE.replace("DOCUMENT", repr(DOCUMENT))
        yield Bench(system, targets, stack.enter_context(entrance(system, program)))


def late_injections(
    cases: int,
    chance: random.Random,
    *,
    late_by: tuple[float, float] = (1.0, 20.0),
    late_seconds: int = 30,
    on_postgresql: bool = False,
) -> Left:
    """Cut `cases` injections off, each of which the target finishes `late_by` seconds after it was asked."""
    with bench(cases, late_seconds, on_postgresql=on_postgresql) as measured:
        for number in range(cases):
            measured.targets[number].late_by = chance.uniform(*late_by)
            measured.cut_off(number, WAYS[number % len(WAYS)])
        # Each target was asked before this: by then the last one has arrived, whatever is closed.
        arrived_by = time.monotonic() + late_by[1]
        wait_for(lambda: time.monotonic() >= arrived_by, what="every injection has arrived", seconds=120)
        measured.wait_until_closed(seconds=late_seconds + 120)
        return Left(
            cases,
            sum(target.injected > 0 for target in measured.targets),
            sum(target.active > 0 for target in measured.targets),
        )
