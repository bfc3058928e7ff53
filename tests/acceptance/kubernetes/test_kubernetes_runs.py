"""The shipped scenarios of clusters, and a coordinator that is killed in the middle of one."""

import json
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.servers.cluster_controllers import Kubelet, controllers
from tests.servers.cluster_shop import Shop, open_shop
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.documented import Page
from tests.servers.kube_apiserver import build_deployment, kube_apiserver
from tests.servers.loopback import wait_for
from tests.servers.plain_system import QUICK
from tests.servers.target import running_target

pytestmark = pytest.mark.kube_apiserver

CATALOGUE = {
    "pods-deleted": {"app": "cart", "grace": "0s"},
    "pods-isolated": {"app": "stock"},
    "deployment-scaled-down": {"deployment": "till"},
}
LEASE_SECONDS = 5
# The service has another path, and a test has less time.
DOCUMENTED = {"path: /}": "path: /health}", "for: 10s": "for: 1s"}
PAGE = Page(PROJECT / "docs" / "kubernetes.md")


@dataclass
class Site:
    installed: Coordinator
    commands: CommandProcess
    shop: Shop
    kubelet: Kubelet
    target: str

    def run(self, name: str, *words: str, **variables: str) -> str:
        """The id of the run, which has begun or is queued."""
        given = {**QUICK, "path": "/health", "namespace": self.shop.namespace, **variables}
        chosen = [word for each in given.items() for word in ("--var", "=".join(each))]
        return self.commands.manage("scenario", "run", name, *chosen, "--detach", *words).strip()

    def run_documented(self, folder: Path) -> str:
        """As `run`, of the scenario that the page writes, by its commands."""
        (line,) = (line for line in PAGE.commands() if "service add" in line)
        self.commands.manage(*line.replace("http://127.0.0.1:8000", self.target).split()[2:])
        PAGE.save_files(folder, **{"namespace: shop,": f"namespace: {self.shop.namespace},", **DOCUMENTED})
        (line,) = (line for line in PAGE.commands() if "scenario run" in line)
        *words, file = line.split()[2:]
        return self.commands.manage(*words, str(folder / file), "--detach").strip()

    def read_verdict(self, run: str) -> tuple[str, str, str]:
        query = "SELECT outcome, rollback, reason FROM scenarios_run WHERE id = ?"
        ((outcome, rollback, reason),) = self.installed.rows(query, run.replace("-", ""))
        return outcome, rollback, reason

    def count_marked(self) -> int:
        """The objects of the namespace that a fault has."""
        paths = [
            self.shop.find_path("pods"),
            self.shop.find_path("networkpolicies"),
            self.shop.deployment.rpartition("/")[0],
        ]
        found = [
            self.shop.server.ask("GET", f"{path}?labelSelector=test-coordinator/fault") for path in paths
        ]
        return sum(len(each["items"]) for each in found)

    def is_scaled_down(self) -> bool:
        return bool(self.read_replicas() == 0)

    def read_replicas(self) -> Any:
        path = self.shop.deployment.replace("/cart", "/till")
        return (self.shop.server.get(path) or {})["spec"]["replicas"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("runs-of-clusters")
    with kube_apiserver(folder / "cluster") as server, running_target() as target:
        shop = open_shop(server, pods=0)
        for name in ("stock", "till"):
            server.apply(build_deployment(name, shop.namespace))
        environment = {
            "KUBERNETES_CONFIG": str(server.kubeconfig),
            "KUBERNETES_NAMESPACES": shop.namespace,
            "LEASE_SECONDS": str(LEASE_SECONDS),
        }
        with (
            controllers(server, shop.namespace) as kubelet,
            coordinator(folder / "data", **environment) as installed,
        ):
            installed.set_up(exchange=target.url)
            with command_process(installed.environment) as commands:
                yield Site(installed, commands, shop, kubelet, target.url)


def test_scenarios_that_are_shipped_and_documented_pass_and_leave_nothing(site: Site, tmp_path: Path) -> None:
    for name in ("cart", "till"):
        wait_for(lambda name=name: len(site.kubelet.seen[name]) >= 3, what="its first pods run")  # type: ignore[misc]
    cart, till = (len(site.kubelet.seen[name]) for name in ("cart", "till"))
    runs = {name: site.run(name, **variables) for name, variables in CATALOGUE.items()}
    runs["cart-loses-a-pod"] = site.run_documented(tmp_path)
    worker = site.installed.start_worker()
    for run in runs.values():
        wait_for(lambda run=run: site.read_verdict(run)[0], what="the run has ended")  # type: ignore[misc]
    assert {name: site.read_verdict(run) for name, run in runs.items()} == dict.fromkeys(
        runs, ("passed", "clean", "every validation held")
    )
    # Two pods were deleted, and replaced; all of a Deployment went, and as many came.
    wait_for(lambda: len(site.kubelet.seen["cart"]) == cart + 2, what="every pod of the cart was replaced")
    wait_for(lambda: len(site.kubelet.seen["till"]) == till + 3, what="the till has its pods again")
    assert len(site.shop.list_ready()) == 9
    assert site.read_replicas() == 3
    assert site.count_marked() == 0
    worker.terminate()
    worker.wait(300)


def test_sweeper_ends_the_fault_of_a_killed_coordinator_without_its_database(
    site: Site, tmp_path: Path
) -> None:
    worker = site.installed.start_worker()
    run = site.run("deployment-scaled-down", deployment="till", hold="10m")
    wait_for(site.is_scaled_down, what="the fault is injected")
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(300)
    elsewhere = Coordinator(
        tmp_path / "elsewhere",
        KUBERNETES_CONFIG=site.installed.environment["KUBERNETES_CONFIG"],
        KUBERNETES_NAMESPACES=site.shop.namespace,
        DATABASE_URL="postgres://nobody@127.0.0.1:1/none",
    )
    with command_process(elsewhere.environment) as sweeper:
        said: list[str] = []

        def sweep() -> bool:
            said.append(sweeper.manage("sweep_clusters"))
            return "Undid the fault of Deployment 'till'" in said[-1]

        wait_for(sweep, what="the fault is past its lease")
    assert site.read_replicas() == 3
    assert site.count_marked() == 0
    site.installed.start_watchdog()
    wait_for(lambda: site.read_verdict(run)[0], what="the watchdog has ended the run")
    assert site.read_verdict(run)[:2] == ("interrupted", "clean")


def test_services_of_a_namespace_are_offered_and_not_registered(site: Site) -> None:
    site.shop.server.apply(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "cart", "namespace": site.shop.namespace},
            "spec": {
                "selector": {"app": "cart"},
                "ports": [{"name": "http", "port": 80}, {"name": "cache", "port": 6379}],
            },
        }
    )
    before = json.loads(site.commands.manage("scenario", "service", "list", "--json"))
    line, *_ = (line for line in PAGE.commands() if "kubernetes_services" in line)
    offered = site.commands.manage(*line.replace("shop", site.shop.namespace).split()[2:])
    place = f"cart.{site.shop.namespace}.svc.cluster.local"
    assert f"manage.py scenario service add cart-http --url http://{place}:80\n" in offered
    assert f"manage.py scenario service add cart-cache --url redis://{place}:6379\n" in offered
    assert json.loads(site.commands.manage("scenario", "service", "list", "--json")) == before
