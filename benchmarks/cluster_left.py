"""Faults of a Kubernetes cluster: how quickly they begin, what is left of them, and what probes cost.

    python benchmarks/cluster_left.py [--starts 40] [--kills 100] [--side-by-side 6] [--pods 5000] [--seed N]

The API server and its etcd are real; there are no controllers and kubelets. First, it measures the time
from the start of a run to the change of the object. Then it kills workers at random moments with SIGKILL,
several side by side, each with a database and a namespace of its own, and starts nothing of the coordinator
again. `manage.py sweep_clusters`, with a database that does not exist, runs every few seconds, as its CronJob
does every minute. One lease, one such interval and two seconds later, it checks that each object is as it
was. Finally, a process probes many pods once a second. Exits with 1 if a goal is missed.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from benchmarks.installed import Entrance, entrance
from benchmarks.side_by_side import kill_all, meet_all
from tests.servers.chaos_definitions import SLOW, install_definitions
from tests.servers.cluster_shop import Shop, open_shop
from tests.servers.command_process import command_process
from tests.servers.coordinator import PROJECT, Coordinator
from tests.servers.kube_apiserver import ApiServer, build_namespace, build_pod, kube_apiserver
from tests.servers.loopback import wait_for

LEASE_SECONDS, SWEEP_SECONDS = 5, 5.0
MARGIN_SECONDS = 2.0
MAX_START_SECONDS = 1.0
MAX_WATCH_MIB, MAX_WATCH_CORE = 100, 0.05
PATCHED = "apps/v1/Deployment"
FAULTS = "SELECT count(*) FROM scenarios_fault"
UNENDED = "SELECT 1 FROM scenarios_run WHERE state <> 'finished'"
SCALED = {"name": "cart", "scale": {"replicas": 0}}
# Not `cordon`: it needs an approval, and the runs of the dead would go on holding every node.
KINDS: dict[str, dict[str, Any]] = {
    "scale": SCALED,
    "isolate one pod": {"where": {"app": "cart"}, "pick": 1, "isolate": {}},
    "isolate all pods": {"where": {"app": "cart"}, "isolate": {}, "allow_all": True},
    "patch": {
        "name": "cart",
        "patch": {"of": "Deployment", "apiVersion": "apps/v1", "path": "/spec/paused", "value": True},
    },
    "chaos": {"chaos": SLOW},
}
ENTRANCE = """
import sys
from scenarios.runs import commands
print('ready', flush=True)
for line in sys.stdin:
    if line.strip() == 'stop':
        commands.request_stop(run, by='benchmark')
    else:
        run = commands.start_run(open(line.strip()).read(), {}, origin='api')
    print(run.id, flush=True)
"""
WATCH = """
import asyncio, resource, sys, time
from scenarios.drivers.kubernetes.arguments import KubernetesArguments
from scenarios.drivers.kubernetes.driver import Kubernetes
import aiohttp

def measure():
    used = resource.getrusage(resource.RUSAGE_SELF)
    lines = dict(line.split(':', 1) for line in open('/proc/self/status'))
    return used.ru_utime + used.ru_stime, [int(lines[word].split()[0]) / 1024 for word in ('VmRSS', 'VmHWM')]

async def watch(namespace, looks):
    driver = Kubernetes()
    arguments = KubernetesArguments.model_validate({'namespace': namespace, 'timeout': '60s'})
    before = measure()
    begun = time.monotonic()
    for number in range(looks):
        seen = await driver.probe(arguments, None)
        await asyncio.sleep(max(0, begun + number + 1 - time.monotonic()))
    seconds = time.monotonic() - begun
    after = measure()
    print(seen['found'], (after[0] - before[0]) / seconds, after[1][1] - before[1][0], flush=True)

asyncio.run(watch('crowd', {looks}))
"""


class Moment(NamedTuple):
    """When the worker is killed: so many seconds after the fault is in the ledger."""

    kind: str
    seconds: float


class Kill(NamedTuple):
    """`left` is what was not as before a lease and a sweep after the kill."""

    kind: str
    moment: float
    was_changed: bool
    left: dict[str, Any]


@contextmanager
def installed(server: ApiServer) -> Iterator[Coordinator]:
    with tempfile.TemporaryDirectory() as folder:
        system = Coordinator(
            Path(folder),
            KUBERNETES_CONFIG=str(server.kubeconfig),
            KUBERNETES_PATCHED_KINDS=PATCHED,
            LEASE_SECONDS=str(LEASE_SECONDS),
            MAX_CONCURRENT_RUNS="1000",
        )
        system.migrate()
        try:
            yield system
        finally:
            system.stop()


def describe(shop: Shop) -> dict[str, Any]:
    """All that the kinds of fault change: specs, labels and annotations, and the names of what they make."""
    server = shop.server
    chaos = f"/apis/chaos-mesh.org/v1alpha1/namespaces/{shop.namespace}/networkchaos"
    paths = [shop.deployment, *(shop.find_path("pods", name) for name in shop.list_pods())]
    found = {path.rpartition("/")[2]: server.get(path) or {} for path in paths}
    kept: dict[str, Any] = {
        name: [each["spec"], *(each["metadata"].get(word) for word in ("labels", "annotations"))]
        for name, each in found.items()
    }
    for path in (shop.find_path("networkpolicies"), chaos):
        kept[path] = [each["metadata"]["name"] for each in server.ask("GET", path)["items"]]
    return kept


def start(system: Coordinator, asked: Entrance, shop: Shop, fault: dict[str, Any]) -> float:
    """The time by the monotonic clock at which the run was started."""
    action = {"name": "break it", "fault": {"kubernetes": {"namespace": shop.namespace, **fault}}}
    document = {
        "apiVersion": "coordinator/v1",
        "kind": "Scenario",
        "metadata": {"name": "broken"},
        "spec": {"phases": [{"name": "fault", "hold": "10m", "actions": [action]}]},
    }
    (file := system.data / f"{shop.namespace}.yaml").write_text(json.dumps(document))
    begun = time.monotonic()
    asked.ask(str(file))
    return begun


def measure_starts(goals: Goals, server: ApiServer, starts: int) -> None:
    took = []
    with installed(server) as system, entrance(system, ENTRANCE) as asked:
        worker = system.start_worker()
        wait_for(lambda: system.find_log("worker").stat().st_size, what="the worker says something")
        for number in range(starts + 1):
            shop = open_shop(server)
            begun = start(system, asked, shop, SCALED)
            while shop.read_deployment()["spec"]["replicas"]:
                time.sleep(0.005)
            if number:  # the first one loads what the next ones use, too
                took.append(time.monotonic() - begun)
            asked.ask("stop")  # a worker carries out one run at a time
            wait_for(lambda: not system.rows(UNENDED), what="the run ends")
        worker.kill()
    took.sort()
    goals.tell(
        f"from the start of a run to the changed object, median of {starts}", took[len(took) // 2], "s"
    )
    worst = took[int(0.95 * (len(took) - 1))]
    goals.at_most(f"the same, p95 of {starts}", worst, MAX_START_SECONDS, "s")


@dataclass
class Lane:
    """Kills the workers of a database of its own; their runs stay as the dead left them."""

    server: ApiServer
    system: Coordinator
    asked: Entrance

    def meet(self, moment: Moment) -> Kill:
        """Each moment has a namespace and a worker of its own."""
        shop = open_shop(self.server)
        before = describe(shop)
        ((known,),) = self.system.rows(FAULTS)
        worker = self.system.start_worker()
        start(self.system, self.asked, shop, KINDS[moment.kind])
        wait_for(lambda: self.system.rows(FAULTS) > [(known,)], what="the fault is in the ledger")
        time.sleep(moment.seconds)
        killed = kill_all([worker])
        was_changed = describe(shop) != before
        due = killed + LEASE_SECONDS + SWEEP_SECONDS + MARGIN_SECONDS
        time.sleep(max(0.0, due - time.monotonic()))
        seen = describe(shop)
        left = {name: value for name, value in seen.items() if value != before[name]}
        return Kill(*moment, was_changed, left)


def measure_kills(goals: Goals, server: ApiServer, count: int, moments: list[Moment]) -> None:
    with ExitStack() as stack:
        lanes = []
        for _ in range(count):
            system = stack.enter_context(installed(server))
            lanes.append(Lane(server, system, stack.enter_context(entrance(system, ENTRANCE))))
        sweeps = stack.enter_context(sweeper(server))
        kills, failed = meet_all(lanes, moments, Lane.meet)
        slowest = max(sweeps)
    changed = [kill for kill in kills if kill.was_changed]
    goals.tell("SIGKILLs of a worker", len(kills))
    goals.tell("of these while something was changed", len(changed))
    print(f"  of each kind: {dict(sorted(Counter(kill.kind for kill in changed).items()))}")
    goals.at_most("left a lease and a sweep after the kill", sum(bool(kill.left) for kill in kills), 0)
    goals.at_most("moments that could not be met", failed, 0)
    goals.tell(f"{len(sweeps)} sweeps, the slowest", slowest, "s")


@contextmanager
def sweeper(server: ApiServer) -> Iterator[list[float]]:
    """Sweeps at its interval until the end of the block; the seconds that each sweep took.

    One for all, as in a cluster. The kills come at random moments between two sweeps.
    """
    nowhere = Coordinator(
        server.folder / "nowhere",
        KUBERNETES_CONFIG=str(server.kubeconfig),
        KUBERNETES_PATCHED_KINDS=PATCHED,
        DATABASE_URL="postgres://nobody@127.0.0.1:1/none",
    )
    took: list[float] = []
    stopped = threading.Event()
    with command_process(nowhere.environment) as commands:

        def sweep() -> None:
            due = time.monotonic()
            while not stopped.wait(max(0.0, due - time.monotonic())):
                begun = time.monotonic()
                commands.manage("sweep_clusters")
                took.append(time.monotonic() - begun)
                due += SWEEP_SECONDS

        sweeping = threading.Thread(target=sweep)
        sweeping.start()
        try:
            yield took
        finally:
            stopped.set()
            sweeping.join()


def measure_watch(goals: Goals, server: ApiServer, pods: int, looks: int = 30) -> None:
    server.apply(build_namespace("crowd"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: server.apply(build_pod(f"pod-{number}", "crowd", "crowd")), range(pods)))
    with installed(server) as system:
        done = subprocess.run(
            [
                sys.executable,
                "manage.py",
                "shell",
                "--no-imports",
                "-c",
                WATCH.replace("{looks}", str(looks)),
            ],
            cwd=PROJECT,
            env=system.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found, core, mebibytes = done.stdout.split()
    assert int(found) == pods
    goals.at_most(f"a probe of {pods} pods once a second, share of a core", float(core), MAX_WATCH_CORE)
    goals.at_most("the same, memory on top of the worker's", float(mebibytes), MAX_WATCH_MIB, "MiB")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--side-by-side", type=int, default=6)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    chosen = parser.parse_args()
    goals = Goals()
    print(f"seed {chosen.seed}")
    dice = random.Random(chosen.seed)
    moments = [
        Moment(dice.choice(list(KINDS)), dice.uniform(0.0, LEASE_SECONDS)) for _ in range(chosen.kills)
    ]
    with tempfile.TemporaryDirectory() as folder, kube_apiserver(Path(folder)) as server:
        if chosen.starts:
            measure_starts(goals, server, chosen.starts)
        if moments:
            install_definitions(server)
            measure_kills(goals, server, chosen.side_by_side, moments)
        if chosen.pods:
            measure_watch(goals, server, chosen.pods)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
