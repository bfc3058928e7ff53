"""Faults of a Kubernetes cluster: how quickly they begin, what is left of them, and what probes cost.

    python benchmarks/cluster_left.py [--starts 40] [--kills 20] [--pods 5000]

The API server and its etcd are real; there are no controllers and kubelets. First, it measures the time
from the start of a run to the change of the object. Then it kills the worker at random moments with SIGKILL
and restarts nothing of the coordinator; `manage.py sweep_clusters`, with a database that does not exist,
runs every few seconds, as its CronJob does every minute. One lease and one such interval later, it checks
that each object is as it was. Finally, a process probes many pods once a second. Exits with 1 if a goal is
missed.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from benchmarks.installed import Entrance, entrance
from tests.servers.cluster_shop import Shop, open_shop
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.coordinator import PROJECT, Coordinator
from tests.servers.kube_apiserver import ApiServer, build_namespace, build_pod, kube_apiserver
from tests.servers.loopback import wait_for

LEASE_SECONDS, SWEEP_SECONDS = 5, 5.0
MARGIN_SECONDS = 2.0
MAX_START_SECONDS = 1.0
MAX_WATCH_MIB, MAX_WATCH_CORE = 100, 0.05
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: broken}}
spec:
  phases:
  - name: fault
    hold: 10m
    actions:
    - name: break it
      fault: {{kubernetes: {{namespace: {namespace}, {fault}}}}}
"""
UNENDED = "SELECT 1 FROM scenarios_run WHERE state <> 'finished'"
KINDS = (
    "name: cart, scale: {replicas: 0}",
    "where: {app: cart}, pick: 1, isolate: {}",
    "where: {app: cart}, isolate: {}, allow_all: true",
)
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


@contextmanager
def installed(server: ApiServer) -> Iterator[Coordinator]:
    with tempfile.TemporaryDirectory() as folder:
        system = Coordinator(
            Path(folder),
            KUBERNETES_CONFIG=str(server.kubeconfig),
            LEASE_SECONDS=str(LEASE_SECONDS),
            MAX_CONCURRENT_RUNS="1000",
        )
        system.migrate()
        try:
            yield system
        finally:
            system.stop()


def is_changed(shop: Shop) -> bool:
    marked = "?labelSelector=test-coordinator/fault"
    paths = [shop.deployment.rpartition("/")[0], shop.find_path("networkpolicies")]
    return any(shop.server.ask("GET", path + marked)["items"] for path in paths)


def is_whole(shop: Shop) -> bool:
    pods = shop.server.ask("GET", f"{shop.find_path('pods')}?labelSelector=test-coordinator/fault")["items"]
    return not is_changed(shop) and not pods and shop.read_deployment()["spec"]["replicas"] == 3


def start(system: Coordinator, asked: Entrance, shop: Shop, fault: str) -> float:
    """The time by the monotonic clock at which the run was started."""
    (file := system.data / f"{shop.namespace}.yaml").write_text(
        DOCUMENT.format(namespace=shop.namespace, fault=fault)
    )
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
            begun = start(system, asked, shop, KINDS[0])
            while not is_changed(shop):
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


def measure_kills(goals: Goals, server: ApiServer, kills: int, dice: random.Random) -> None:
    """Each moment has a namespace and a worker of its own; the runs stay as the dead left them."""
    left = 0
    nowhere = Coordinator(
        server.folder / "nowhere",
        KUBERNETES_CONFIG=str(server.kubeconfig),
        DATABASE_URL="postgres://nobody@127.0.0.1:1/none",
    )
    with ExitStack() as stack:
        system = stack.enter_context(installed(server))
        asked = stack.enter_context(entrance(system, ENTRANCE))
        sweeper = stack.enter_context(command_process(nowhere.environment))
        for _ in range(kills):
            shop = open_shop(server)
            worker = system.start_worker()
            start(system, asked, shop, dice.choice(KINDS))
            wait_for(lambda: is_changed(shop), what="something is changed")  # noqa: B023
            time.sleep(dice.uniform(0.0, LEASE_SECONDS))
            worker.kill()
            worker.wait()
            sweep_for(sweeper, LEASE_SECONDS + SWEEP_SECONDS, dice)
            left += not is_whole(shop)
    goals.at_most(f"left a lease and a sweep after {kills} SIGKILLs of the worker", left, 0)


def sweep_for(sweeper: CommandProcess, seconds: float, dice: random.Random) -> None:
    """Sweep at its interval, which begins at a random moment, for so long; a sweep itself takes time, too."""
    deadline = time.monotonic() + seconds
    due = time.monotonic() + dice.uniform(0.0, SWEEP_SECONDS)
    while due < deadline:
        time.sleep(max(0.0, due - time.monotonic()))
        sweeper.manage("sweep_clusters")
        due += SWEEP_SECONDS
    time.sleep(max(0.0, deadline + MARGIN_SECONDS - time.monotonic()))


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
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    chosen = parser.parse_args()
    goals = Goals()
    print(f"seed {chosen.seed}")
    with tempfile.TemporaryDirectory() as folder, kube_apiserver(Path(folder)) as server:
        if chosen.starts:
            measure_starts(goals, server, chosen.starts)
        if chosen.kills:
            measure_kills(goals, server, chosen.kills, random.Random(chosen.seed))
        if chosen.pods:
            measure_watch(goals, server, chosen.pods)
    return goals.status


if __name__ == "__main__":
    sys.exit(main())
