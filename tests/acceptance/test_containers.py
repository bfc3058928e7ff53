"""The catalogue's scenarios for containers against a real dockerd; and a worker that is killed meanwhile."""

import json
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from scenarios.domain.worker_commands import quick_worker
from tests.servers.command_process import CommandProcess, command_process
from tests.servers.container_engine import PORT, ContainerEngine, docker_engine
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.documented import Page, with_values
from tests.servers.loopback import wait_for
from tests.servers.plain_system import QUICK

pytestmark = [pytest.mark.docker]

NETWORK = "shop_default"
# What the page says from zero to a first verdict.
DISCOVER, ADD, RUN = (
    line for line in Page(PROJECT / "docs" / "containers.md").commands() if "manage.py scenario" in line
)
# What the engine reports about the container of each scenario: the change, and what undoes it.
SCENARIOS = {
    "container-paused": ("pause", "unpause"),
    "container-killed": ("kill", "start"),
    "container-cut-off": ("disconnect", "connect"),
    "container-starved": ("update", "update"),
}
ENVIRONMENT = {
    "ALLOWED_CONTAINERS": "com.docker.compose.project=shop",
    "MAX_CONCURRENT_RUNS": "8",
    "LEASE_SECONDS": "10",
}
LONG = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: long}
spec:
  phases:
    - name: chaos
      hold: 30m
      actions:
        - name: pause it
          fault: {container: {where: {long: "yes"}, pause: true}}
"""


@dataclass(frozen=True)
class System:
    engine: ContainerEngine
    installed: Coordinator
    commands: CommandProcess

    def start(self, scenario: str, *words: str) -> str:
        return self.commands.manage("scenario", "run", scenario, *words, "--detach").strip()

    def follow(self, line: str, *words: str, **replaced: str) -> str:
        """Carry out this line of the page; what it prints."""
        command = shlex.split(with_values(line, replaced))
        assert command[:2] == ["python3", "manage.py"]
        return self.commands.manage(*command[2:], *words)

    def start_worker(self, name: str = "worker") -> subprocess.Popen[bytes]:
        # In the network of the containers, which this machine cannot reach.
        return self.installed.start(name, "manage.py", *quick_worker("db"), inside=self.engine.inside)

    def read_verdicts(self) -> Mapping[str, tuple[str, str, str]]:
        query = (
            "SELECT scenario_name, outcome, rollback, reason FROM scenarios_run WHERE finished_at IS NOT NULL"
        )
        return {name: (outcome, rollback, why) for name, outcome, rollback, why in self.installed.rows(query)}


def run_service(engine: ContainerEngine, name: str, **more: str) -> None:
    service = name.removeprefix("shop-")
    labels = {"com.docker.compose.project": "shop", "com.docker.compose.service": service, **more}
    ports: dict[str, Any] = {"ExposedPorts": {f"{PORT}/tcp": {}}}
    engine.run(name, labels=labels, network=NETWORK, more=ports)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with docker_engine() as engine:
        engine.ask("POST", "/networks/create", {"Name": NETWORK, "CheckDuplicate": True})
        for name in ("web", *SCENARIOS):
            run_service(engine, f"shop-{name}")
        folder = tmp_path_factory.mktemp("containers")
        own = {**ENVIRONMENT, "CONTAINER_ENGINES": f"local={engine.url}"}
        with coordinator(folder, **own) as installed:
            installed.set_up()
            with command_process(installed.environment) as commands:
                yield System(engine, installed, commands)


@pytest.fixture(scope="module")
def discovered(system: System) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(system.follow(DISCOVER, "--json"))["items"]
    return found


@pytest.fixture(scope="module")
def ended(system: System, discovered: list[dict[str, Any]]) -> System:
    """After a run of each scenario."""
    (web,) = [one for one in discovered if one["service"] == "web"]
    system.follow(ADD, **{"http://127.0.0.1:8000": web["urls"][0]})
    workers = [system.start_worker(f"worker-{number}") for number in range(2)]
    for name in SCENARIOS:
        documented = {"container-paused": name, "shop-db-1": f"shop-{name}"}
        quick = [word for pair in QUICK.items() for word in ("--var", "=".join(pair))]
        system.follow(RUN, *quick, "--detach", **documented)
    wait_for(lambda: len(system.read_verdicts()) == len(SCENARIOS), what="every run has ended")
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        worker.wait(300)
    return system


def test_services_of_a_project_are_offered_and_not_registered(
    system: System, discovered: list[dict[str, Any]]
) -> None:
    assert [one["service"] for one in discovered] == sorted(["web", *SCENARIOS])
    assert {one["name"] for one in discovered} == {f"shop-{name}" for name in ("web", *SCENARIOS)}
    for one in discovered:
        assert one["urls"] == [f"http://{find_address(system.engine, one['containers'][0])}:{PORT}"]
        assert one["registered"] == ""


def find_address(engine: ContainerEngine, name: str) -> str:
    return str(engine.inspect(name)["NetworkSettings"]["Networks"][NETWORK]["IPAddress"])


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_scenario_breaks_its_container_alone_and_leaves_it_as_it_was(ended: System, name: str) -> None:
    assert ended.read_verdicts()[name][:2] == ("passed", "clean"), ended.read_verdicts()[name]
    filters = json.dumps({"event": list(SCENARIOS[name])})
    path = f"/events?since=1&until={int(time.time()) + 1}&filters={filters}".replace('"', "%22").replace(
        " ", ""
    )
    told = [json.loads(line) for line in ended.engine.read_text(path).splitlines()]
    identity = ended.engine.inspect(f"shop-{name}")["Id"]
    own = [one["Action"] for one in told if identity in json.dumps(one)]
    first, last = SCENARIOS[name]
    assert own[-1] == last
    assert first in own[:-1]
    state = ended.engine.inspect(f"shop-{name}")
    assert state["State"]["Status"] == "running"
    assert NETWORK in state["NetworkSettings"]["Networks"]
    assert state["HostConfig"]["CpuQuota"] <= 0
    states = ended.installed.rows("SELECT DISTINCT state FROM scenarios_fault")
    assert states == [("undone",)]


def test_a_fault_ends_with_its_lease_when_the_worker_is_killed(ended: System) -> None:
    run_service(ended.engine, "shop-long", long="yes")
    (ended.installed.data / "long.yaml").write_text(LONG)
    worker = ended.start_worker()
    ended.start(str(ended.installed.data / "long.yaml"))
    wait_for(lambda: ended.engine.read_state("shop-long") == "paused", what="the container is paused")
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    wait_for(lambda: ended.engine.is_running("shop-long"), what="the guardian has ended the fault")
    ended.installed.start_watchdog()
    wait_for(lambda: "long" in ended.read_verdicts(), what="the watchdog has taken the run over")
    assert ended.read_verdicts()["long"][:2] == ("interrupted", "clean")
