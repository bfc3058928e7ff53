"""Faults that end by themselves: all that injected them is killed at once, and nothing is started again.

    python benchmarks/everything_killed.py [--rounds 25] [--starts 20] [--seed 1]

In each round one run injects a fault of every kind, one after the other, and at a random moment its worker,
the watchdog and the web server are killed with SIGKILL. One lease and a second later each target is asked
whether it is still broken. Beside it: Chaos Toolkit with the same proxies and the same process, killed in
the same way. Then: how long it takes from the start of a run to the fault at its target. Exits 1 on a miss.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.fault_targets import Breakable, all_targets, chaos_toolkit_actions
from benchmarks.goals import Goals
from benchmarks.installed import Entrance, entrance
from tests.servers.coordinator import Coordinator
from tests.servers.loopback import wait_for

LEASE_SECONDS = 5.0
SPREAD_SECONDS = 4.0
MAX_LOCAL_SECONDS = 0.5
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: everything}}
spec:
  phases:
    - name: chaos
      hold: 5m
      actions:
{actions}
"""
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


def write_document(targets: list[Breakable], folder: Path) -> Path:
    actions = "\n".join(
        f"        - {{name: {target.name}, fault: {json.dumps(target.fault)}}}" for target in targets
    )
    file = folder / "everything.yaml"
    file.write_text(DOCUMENT.format(actions=actions))
    return file


@contextmanager
def installed(targets: list[Breakable], **settings: str) -> Iterator[Coordinator]:
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        secrets = {name: value for target in targets for name, value in target.settings.items()}
        system = Coordinator(data, LEASE_SECONDS=f"{LEASE_SECONDS:g}", **{**secrets, **settings})
        stack.callback(system.stop)
        system.migrate()
        for command in {command for target in targets for command in target.registrations}:
            system.manage("scenario", *command)
        yield system


def kill_everything(system: Coordinator) -> None:
    for process in system.processes:
        process.kill()
    for process in system.processes:
        process.wait()


def run_round(targets: list[Breakable], seconds: float) -> tuple[list[str], list[str]]:
    """The targets whose fault was in the ledger when everything was killed, and those that stayed broken."""
    with installed(targets) as system:
        file = write_document(targets, system.data)
        system.start_web()
        system.start_watchdog()
        system.start_worker()
        system.manage("scenario", "run", str(file), "--detach")
        wait_for(
            lambda: system.rows("SELECT 1 FROM scenarios_run WHERE state = 'running'"), what="the run begins"
        )
        time.sleep(seconds)
        kill_everything(system)
        killed_at = time.monotonic()
        opened = [name for (name,) in system.rows("SELECT action FROM scenarios_fault")]
        time.sleep(max(0.0, killed_at + LEASE_SECONDS + 1.0 - time.monotonic()))
        return opened, [target.name for target in targets if target.is_broken()]


def kill_all_rounds(goals: Goals, targets: list[Breakable], rounds: int, dice: random.Random) -> None:
    met = 0
    left: list[str] = []
    for _ in range(rounds):
        opened, broken = run_round(targets, dice.uniform(0.0, SPREAD_SECONDS))
        met += len(opened)
        left += broken
    goals.tell(f"kinds: {', '.join(target.name for target in targets)}", len(targets))
    goals.tell(f"faults in the ledger when everything was killed, {rounds} times", met)
    goals.at_most("left one lease and a second later", len(left), 0)
    if left:
        print(f"left: {', '.join(sorted(left))}")


def kill_chaos_toolkit(goals: Goals, targets: list[Breakable], rounds: int) -> None:
    """With the same proxy, as one that has no leases, and the same process."""
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


def measure_starts(goals: Goals, targets: list[Breakable], starts: int) -> None:
    with installed(targets) as system, entrance(system, ENTRANCE) as asked:
        system.start_worker()
        for target in targets:
            took = sorted(measure_start(system, asked, target) for _ in range(starts))
            worst = took[int(0.95 * (len(took) - 1))]
            goals.at_most(
                f"from the start of a run to the fault, {target.name}, p95 of {starts}",
                worst,
                MAX_LOCAL_SECONDS,
                "s",
            )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--starts", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    goals = Goals()
    with all_targets() as targets:
        kill_all_rounds(goals, targets, options.rounds, random.Random(options.seed))
        kill_chaos_toolkit(goals, targets, min(3, options.rounds))
        measure_starts(goals, targets, options.starts)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
