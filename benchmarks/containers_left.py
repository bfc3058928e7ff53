"""Whether containers stay broken when the coordinator is killed, and how quickly a fault is injected.

    python benchmarks/containers_left.py [--rounds 100] [--side-by-side 6] [--runs 30] [--lease 5] [--seed N]

Needs root and Debian's docker.io, iptables, nftables and busybox-static. A real dockerd has one container for
each of the coordinators that work side by side, which have nothing in common otherwise. In each round, a run
breaks the container in a random way; at a random time after the fault is in the ledger, the worker, the
watchdog and their children are killed with SIGKILL, so that only the guardian or the kernel is left. One
lease and two seconds later, the container must be as before. Nothing is started again before that.

Then it measures the delay from the start of a run until the engine reports the change. Exits with 1 if a
fault was left, or if a round could not be carried out.
"""

import argparse
import contextlib
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from benchmarks.side_by_side import kill_all, meet_all
from injector.host.changes import ALL_MEMORY
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.container_engine import PORT, ContainerEngine, docker_engine
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for

NETWORK = "shop_default"
MARGIN_SECONDS = 2.0
MAX_MOMENT = 3.0
MAX_START_SECONDS = 1.0
KINDS = {
    "pause": "pause: true",
    "kill": "kill: true",
    "stop": "stop: true, grace: 0s",
    "disconnect": f"disconnect: {NETWORK}",
    "limits": "limits: {cpus: 0.2, memory: 64MiB}",
    "reset": f"reset: {{to: TILL, port: {PORT}}}",
}
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: {name}}}
spec:
  phases:
    - name: chaos
      hold: {hold}
      actions:
        - name: break it
          fault: {{container: {{name: {container}, {fault}}}}}
"""
CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)"
UNDER_WAY = """SELECT count(*) FROM scenarios_fault JOIN scenarios_run r ON r.id = run_id
    WHERE r.finished_at IS NULL"""


class Moment(NamedTuple):
    """When all is killed: so many seconds after the fault is in the ledger."""

    kind: str
    seconds: float


class Kill(NamedTuple):
    """`left` is what was not as before, `seconds` from the kill until it was; `undone` is the run's word."""

    kind: str
    moment: float
    was_broken: bool
    left: dict[str, Any]
    seconds: float
    outcome: str
    undone: str


@dataclass
class Lane:
    """A coordinator with a container of its own."""

    engine: ContainerEngine
    container: str
    till: str
    """The address of a service that the containers use."""
    lease: int
    installed: Coordinator
    commands: CommandProcess

    def create(self) -> None:
        self.engine.run(self.container, "sleep", "86400", network=NETWORK)

    def describe(self) -> dict[str, Any]:
        """What the kinds of fault change; for no limit, the engine has 0, -1, or all that the kernel has."""
        state = self.engine.inspect(self.container)
        limits = {
            word: max(0, state["HostConfig"][word]) % ALL_MEMORY
            for word in ("CpuQuota", "Memory", "MemorySwap")
        }
        return {
            "status": state["State"]["Status"],
            "networks": sorted(state["NetworkSettings"]["Networks"]),
            "reaches the till": self._reaches_till(state["State"]["Pid"]),
            **limits,
        }

    def _reaches_till(self, process: int) -> bool:
        inside = ["nsenter", f"--net=/proc/{process}/ns/net", "--"]
        words = [*inside, sys.executable, "-IS", "-c", CONNECT, self.till, str(PORT)]
        return process > 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0

    def start_run(self, kind: str, hold: str) -> str:
        file = self.installed.data / f"{kind}.yaml"
        fault = KINDS[kind].replace("TILL", self.till)
        file.write_text(DOCUMENT.format(name=kind, hold=hold, container=self.container, fault=fault))
        return self.commands.manage("scenario", "run", str(file), "--detach").strip()

    def count_unended(self) -> int:
        ((count,),) = self.installed.rows("SELECT count(*) FROM scenarios_run WHERE finished_at IS NULL")
        return int(count)

    def meet(self, moment: Moment) -> Kill:
        before = self.describe()
        processes = [self.installed.start_watchdog(), self.installed.start_worker()]
        run = self.start_run(moment.kind, "30m")
        wait_for(lambda: self.installed.rows(UNDER_WAY)[0][0], what="the fault is in the ledger")
        time.sleep(moment.seconds)
        killed = kill_all(processes)
        was_broken = self.describe() != before
        time.sleep(max(0.0, killed + self.lease + MARGIN_SECONDS - time.monotonic()))
        seen = self.describe()
        left = {word: value for word, value in seen.items() if value != before[word]}
        seconds = self._wait_for(before) - killed
        again = self.installed.start_watchdog()
        wait_for(lambda: not self.count_unended(), what="the watchdog has ended the run")
        again.terminate()
        again.wait()
        query = "SELECT outcome, rollback FROM scenarios_run WHERE id = ?"
        ((outcome, undone),) = self.installed.rows(query, run.replace("-", ""))
        return Kill(*moment, was_broken, left, seconds, outcome, undone)

    def _wait_for(self, before: dict[str, Any]) -> float:
        """The time at which the container is as before; if it never is, infinity, and there is a new one."""
        with contextlib.suppress(AssertionError):
            wait_for(lambda: self.describe() == before, what="the container is as before")
            return time.monotonic()
        self.engine.remove(self.container)
        self.create()
        return float("inf")

    def measure_starts(self, runs: int) -> list[float]:
        """Seconds from the moment when the run is queued until the engine has paused the container."""
        worker = self.installed.start_worker()
        began = int(time.time()) - 1
        for _ in range(runs):
            self.start_run("pause", "100ms")
            wait_for(lambda: not self.count_unended(), what="the run has ended")
        worker.terminate()
        worker.wait()
        filters = f'{{"event":["pause"],"container":["{self.container}"]}}'.replace('"', "%22")
        told = self.engine.read_text(f"/events?since={began}&until={int(time.time()) + 1}&filters={filters}")
        paused = sorted(json.loads(line)["timeNano"] / 1e9 for line in told.splitlines())
        query = "SELECT queued_at FROM scenarios_run ORDER BY queued_at DESC LIMIT ?"
        rows = self.installed.rows(query, str(runs))
        queued = sorted(datetime.fromisoformat(f"{at}+00:00").timestamp() for (at,) in rows)
        return [at - asked for asked, at in zip(queued, paused[-runs:], strict=True)]


@contextmanager
def system(count: int, lease: int) -> Iterator[list[Lane]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(docker_engine())
        engine.ask("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
        engine.run("till", network=NETWORK)
        till = engine.inspect("till")["NetworkSettings"]["Networks"][NETWORK]["IPAddress"]
        lanes = []
        for number in range(count):
            container = f"shop-{number}"
            own = {"CONTAINER_ENGINES": f"local={engine.url}", "ALLOWED_CONTAINERS": container}
            data = folder / container
            data.mkdir()
            installed = stack.enter_context(coordinator(data, LEASE_SECONDS=str(lease), **own))
            installed.migrate()
            commands = stack.enter_context(command_process(installed.environment))
            lanes.append(Lane(engine, container, till, lease, installed, commands))
            lanes[-1].create()
        yield lanes


def tell_kills(goals: Goals, kills: Sequence[Kill]) -> None:
    broken = [kill for kill in kills if kill.was_broken]
    goals.tell("kills of worker and watchdog", len(kills))
    goals.tell("of these while the container was broken", len(broken))
    print(f"  of each kind: {dict(sorted(Counter(kill.kind for kill in broken).items()))}")
    left = [kill for kill in kills if kill.left]
    goals.at_most("left a lease and two seconds later", len(left), 0)
    print(f"  {dict(Counter((kill.outcome, kill.undone) for kill in kills))}")
    for kill in left:
        print(f"  left: {kill}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--side-by-side", type=int, default=6)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--lease", type=int, default=5)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    dice = random.Random(options.seed)
    goals = Goals()
    print(f"seed {options.seed}")
    moments = [Moment(dice.choice(list(KINDS)), dice.uniform(0, MAX_MOMENT)) for _ in range(options.rounds)]
    with system(options.side_by_side if moments else 1, options.lease) as lanes:
        if moments:
            kills, failed = meet_all(lanes, moments, Lane.meet)
            tell_kills(goals, kills)
            goals.at_most("rounds that could not be carried out", failed, 0)
        if options.runs > 1:
            delays = lanes[0].measure_starts(options.runs)
            goals.tell(
                f"from the start of a run to the change, median of {options.runs}",
                statistics.median(delays),
                "s",
            )
            worst = statistics.quantiles(delays, n=20)[18]
            goals.at_most(f"the same, p95 of {options.runs}", worst, MAX_START_SECONDS, "s")
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
