"""Whether containers stay broken when the coordinator is killed, and how quickly a fault is injected.

    python benchmarks/containers_left.py [--rounds 100] [--runs 30] [--lease 5] [--seed N]

Needs root and Debian's docker.io, iptables and busybox-static. A real dockerd has one container. In each
round, a run breaks it in a random way; after a random time, the worker and the watchdog are killed with
SIGKILL, so that only the guardian is left. One lease and two seconds later, the container must be as before.
Then it measures the delay from the start of a run until the engine reports the change. Exits with 1 if a
fault was left.
"""

import argparse
import json
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from injector.host.changes import ALL_MEMORY
from scenarios.domain.worker_commands import quick_worker
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.container_engine import ContainerEngine, docker_engine
from tests.servers.coordinator import Coordinator, coordinator
from tests.servers.loopback import wait_for

NETWORK = "shop_default"
SWEEP_SECONDS = 2.0
MAX_MOMENT = 3.0
KINDS = {
    "pause": "pause: true",
    "kill": "kill: true",
    "stop": "stop: true, grace: 0s",
    "disconnect": f"disconnect: {NETWORK}",
    "limits": "limits: {cpus: 0.2, memory: 64MiB}",
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
          fault: {{container: {{name: shop, {fault}}}}}
"""


def describe(engine: ContainerEngine) -> dict[str, Any]:
    """What the kinds of fault change; for no limit, the engine has 0, -1, or all that the kernel has."""
    state = engine.inspect("shop")
    limits = {
        word: max(0, state["HostConfig"][word]) % ALL_MEMORY for word in ("CpuQuota", "Memory", "MemorySwap")
    }
    networks = sorted(state["NetworkSettings"]["Networks"])
    return {"status": state["State"]["Status"], "networks": networks, **limits}


@contextmanager
def system(lease: int) -> Iterator[tuple[ContainerEngine, Coordinator, CommandProcess]]:
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(docker_engine())
        engine.ask("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
        engine.run("shop", "sleep", "86400", network=NETWORK)
        own = {"CONTAINER_ENGINES": f"local={engine.url}", "ALLOWED_CONTAINERS": "shop"}
        installed = stack.enter_context(coordinator(data, LEASE_SECONDS=str(lease), **own))
        installed.set_up()
        yield engine, installed, stack.enter_context(command_process(installed.environment))


def start_run(installed: Coordinator, commands: CommandProcess, kind: str, hold: str) -> str:
    file = installed.data / f"{kind}.yaml"
    file.write_text(DOCUMENT.format(name=kind, hold=hold, fault=KINDS[kind]))
    return commands.manage("scenario", "run", str(file), "--detach").strip()


def count_unended(installed: Coordinator) -> int:
    ((count,),) = installed.rows("SELECT count(*) FROM scenarios_run WHERE finished_at IS NULL")
    return int(count)


def kill_once(
    place: tuple[ContainerEngine, Coordinator, CommandProcess], lease: int, kind: str, moment: float
) -> Mapping[str, Any]:
    """What is left of a fault of this kind if all is killed `moment` seconds after it is in the ledger."""
    engine, installed, commands = place
    before = describe(engine)
    watchdog = installed.start_watchdog()
    worker = installed.start("worker", "manage.py", *quick_worker("db"))
    run = start_run(installed, commands, kind, "30m")
    query = """SELECT count(*) FROM scenarios_fault JOIN scenarios_run r ON r.id = run_id
        WHERE r.finished_at IS NULL"""
    # From the moment on when the fault is in the ledger: before, there is nothing to end.
    wait_for(lambda: installed.rows(query)[0][0], what="the fault is in the ledger")
    time.sleep(moment)
    for process in (worker, watchdog):
        process.send_signal(signal.SIGKILL)
        process.wait()
    was_broken = describe(engine) != before
    began = time.monotonic()
    time.sleep(lease + SWEEP_SECONDS)
    is_left = describe(engine) != before
    wait_for(lambda: describe(engine) == before, what="the container is as before")
    seconds = time.monotonic() - began
    again = installed.start_watchdog()
    wait_for(lambda: not count_unended(installed), what="the watchdog has ended the run")
    again.terminate()
    again.wait()
    (verdict,) = installed.rows(
        "SELECT outcome, rollback FROM scenarios_run WHERE id = ?", run.replace("-", "")
    )
    return {"kind": kind, "was_broken": was_broken, "left": is_left, "seconds": seconds, "verdict": verdict}


def measure_delays(
    engine: ContainerEngine, installed: Coordinator, commands: CommandProcess, runs: int
) -> list[float]:
    """Seconds from the moment when the run is queued until the engine has paused the container."""
    worker = installed.start("worker", "manage.py", *quick_worker("db"))
    began = int(time.time()) - 1
    for _ in range(runs):
        start_run(installed, commands, "pause", "100ms")
        wait_for(lambda: not count_unended(installed), what="the run has ended")
    worker.terminate()
    worker.wait()
    filters = '{"event":["pause"]}'.replace('"', "%22")
    told = engine.read_text(f"/events?since={began}&until={int(time.time()) + 1}&filters={filters}")
    paused = sorted(json.loads(line)["timeNano"] / 1e9 for line in told.splitlines())
    query = "SELECT queued_at FROM scenarios_run ORDER BY queued_at DESC LIMIT ?"
    rows = installed.rows(query, str(runs))
    queued = sorted(datetime.fromisoformat(f"{at}+00:00").timestamp() for (at,) in rows)
    return [at - asked for asked, at in zip(queued, paused[-runs:], strict=True)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--runs", type=int, default=30)
    parser.add_argument("--lease", type=int, default=5)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    options = parser.parse_args()
    dice = random.Random(options.seed)
    print(f"seed {options.seed}")
    with system(options.lease) as place:
        kinds = [dice.choice(list(KINDS)) for _ in range(options.rounds)]
        rounds = []
        for kind in kinds:
            rounds.append(kill_once(place, options.lease, kind, dice.uniform(0, MAX_MOMENT)))
            print(rounds[-1], flush=True)
        delays = measure_delays(*place, options.runs) if options.runs else []
    left = [one for one in rounds if one["left"]]
    broken = sum(one["was_broken"] for one in rounds)
    clean = sum(one["verdict"][1] == "clean" for one in rounds)
    print(f"{len(rounds)} kills, {broken} while broken: {len(left)} left after the lease, {clean} clean")
    if len(delays) > 1:
        p95 = statistics.quantiles(delays, n=20)[18]
        print(f"{len(delays)} runs: p50 {statistics.median(delays):.2f} s, p95 {p95:.2f} s until the change")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
