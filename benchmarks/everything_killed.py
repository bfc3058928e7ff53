"""Faults that end by themselves: everything that injected them is killed at once, and nothing restarts.

    python benchmarks/everything_killed.py [--coordinators 4] [--rounds 25] [--guardians 2] [--starts 20]

Each coordinator has its own PostgreSQL and targets, among them a machine (network and mount namespace) that
it reaches by ssh. In each round it carries out one run that injects a fault of every kind, one after the
other in a random order. At a random moment after the first fault, which differs between coordinators, its
worker, watchdog, web server, their children and PostgreSQL are killed with SIGKILL, and the machine is
unplugged, so that neither its sshd nor the control API of its fault proxy can be reached. One lease and a
second later, it checks whether each target is still broken. In `--guardians` further rounds, the guardians
of the host programs and the fault proxies are killed, too: then faults that only a guardian ends stay.

For comparison, Chaos Toolkit is killed in the same way, with proxies and a process. Finally, it measures the
time from the start of a run to the fault at its target. Needs root. Exits with 1 if a goal is missed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.fault_targets import Breakable, chaos_toolkit_actions
from benchmarks.goals import Goals
from benchmarks.installed import Entrance, entrance
from benchmarks.killable import (
    LEASE_SECONDS,
    Killable,
    Moment,
    collect_settings,
    killable,
    register,
    write_document,
)
from tests.servers.coordinator import Coordinator
from tests.servers.loopback import wait_for
from tests.servers.network_namespaces import find_free_network, machines
from tests.servers.postgresql import postgresql, programs
from tests.servers.target import running_target

SPREAD_SECONDS = 8.0
MAX_LOCAL_SECONDS = 0.5
MAX_SSH_SECONDS = 1.0
ENTRANCE = """
import sys
from scenarios.runs import commands as run_commands
from scenarios.models import Run
print('ready', flush=True)
for line in sys.stdin:
    verb, word = line.split()
    if verb == 'start':
        run = run_commands.start_run(open(word).read(), {}, origin='api')
        print(run.id, flush=True)
    else:
        run_commands.request_stop(Run.objects.get(id=word), by='benchmark')
        print('asked', flush=True)
"""
CHAOS_TOOLKIT = """
import json, sys
from chaoslib.experiment import run_experiment
run_experiment(json.loads(sys.argv[1]), settings={"runtime": {"rollbacks": {"strategy": "always"}}})
"""


@contextmanager
def coordinators(count: int) -> Iterator[list[Killable]]:
    found = programs()
    assert found is not None, "PostgreSQL is not installed"
    with ExitStack() as stack:
        joined = stack.enter_context(
            machines(*(f"far{n}" for n in range(count)), network=find_free_network())
        )
        upstream = stack.enter_context(running_target("127.0.0.1")).url.removeprefix("http://")
        shared = stack.enter_context(postgresql(found))
        yield [
            stack.enter_context(killable(number, machine, upstream, shared.url))
            for number, machine in enumerate(joined)
        ]


def meet_moments(
    each: Sequence[Killable], rounds: int, minutes: float, dice: random.Random, *, with_guardians: bool
) -> list[Moment]:
    """All coordinators at the same time; their moments do not depend on each other."""
    last = time.monotonic() + minutes * 60

    def meet(coordinator: Killable, seed: float) -> list[Moment]:
        own = random.Random(seed)
        moments = []
        for number in range(rounds):
            if time.monotonic() > last:
                break
            order = own.sample(coordinator.targets, len(coordinator.targets))
            seconds = own.uniform(0.0, SPREAD_SECONDS)
            moments.append(coordinator.meet(order, seconds, with_guardians=with_guardians))
            print(
                f"  {coordinator.machine.name}, moment {number + 1}: {moments[-1]}",
                file=sys.stderr,
                flush=True,
            )
        return moments

    with ThreadPoolExecutor(len(each)) as pool:
        return [moment for found in pool.map(meet, each, [dice.random() for _ in each]) for moment in found]


def tell_moments(goals: Goals, moments: Sequence[Moment]) -> None:
    opened = Counter(name for moment in moments for name in moment.opened)
    left = Counter(name for moment in moments for name in moment.left)
    goals.tell("moments at which everything was killed", len(moments))
    goals.tell("faults in the ledger at these moments", opened.total())
    print(f"  of each kind: {', '.join(f'{name} {count}' for name, count in sorted(opened.items()))}")
    goals.at_most("left one lease and a second later", left.total(), 0)
    for moment in moments:
        for name, seconds in moment.left.items():
            print(f"  left: {name}, {seconds:.1f} s longer")


def tell_without_guardians(goals: Goals, moments: Sequence[Moment], targets: Sequence[Breakable]) -> None:
    """Kinds that only a guardian ends are no miss: the documentation says so."""
    for needs_guardian in (False, True):
        names = {target.name for target in targets if target.needs_guardian is needs_guardian}
        opened = sum(name in names for moment in moments for name in moment.opened)
        left = sum(name in names for moment in moments for name in moment.left)
        if needs_guardian:
            goals.tell(f"the same, processes paused without systemd: left of {opened}", left)
        else:
            goals.at_most(f"guardians and proxies killed, too, other kinds: left of {opened}", left, 0)


def kill_chaos_toolkit(goals: Goals, targets: list[Breakable], rounds: int) -> None:
    """With the same process, and with the same proxy without leases."""
    left = asked = 0
    for _ in range(rounds):
        chosen, actions = chaos_toolkit_actions(targets)
        asked += len(chosen)
        experiment = {"title": "everything", "description": "", "method": actions["method"], "rollbacks": []}
        experiment["rollbacks"] = actions["rollbacks"]
        process = subprocess.Popen(
            [sys.executable, "-c", CHAOS_TOOLKIT, json.dumps(experiment)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for(lambda: all(target.is_broken() for target in chosen), what="Chaos Toolkit broke them")  # noqa: B023
        process.kill()
        process.wait()
        time.sleep(LEASE_SECONDS + 1.0)
        left += sum(target.is_broken() for target in chosen)
        for target in chosen:
            target.mend()
    goals.tell(f"Chaos Toolkit {version('chaostoolkit-lib')}: faults left, of {asked}", left)


def measure_start(system: Coordinator, asked: Entrance, target: Breakable) -> float:
    """Seconds from the start of a run to the fault at its target."""
    file = write_document([target], system.data)
    begun = time.monotonic()
    (run,) = asked.ask(f"start {file}")
    wait_for(lambda: system.rows("SELECT 1 FROM scenarios_fault WHERE state = 'active'"), what=target.name)
    seconds = time.monotonic() - begun
    asked.ask(f"stop {run}")
    wait_for(
        lambda: not system.rows("SELECT 1 FROM scenarios_run WHERE state <> 'finished'"), what="the run ends"
    )
    return seconds


def measure_starts(goals: Goals, targets: Sequence[Breakable], starts: int) -> None:
    """On the embedded default: SQLite, and one worker."""
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        system = Coordinator(data, **collect_settings(targets))
        stack.callback(system.stop)
        system.migrate()
        register(targets, system)
        asked = stack.enter_context(entrance(system, ENTRANCE))
        system.start_worker()
        for target in targets:
            took = sorted(measure_start(system, asked, target) for _ in range(starts))
            worst = took[int(0.95 * (len(took) - 1))]
            limit = MAX_SSH_SECONDS if target.is_by_ssh else MAX_LOCAL_SECONDS
            what = f"from the start of a run to the fault, {target.name}, p95 of {starts}"
            goals.at_most(what, worst, limit, "s")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--coordinators", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no round later")
    parser.add_argument("--guardians", type=int, default=2)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    goals = Goals()
    dice = random.Random(options.seed)
    with coordinators(options.coordinators) as each:
        targets = list(each[0].targets)
        tell_moments(goals, meet_moments(each, options.rounds, options.minutes, dice, with_guardians=False))
        further = meet_moments(each, options.guardians, options.minutes, dice, with_guardians=True)
        tell_without_guardians(goals, further, targets)
        kill_chaos_toolkit(goals, targets, min(3, options.rounds))
        measure_starts(goals, targets, options.starts)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
