"""The image, built, and the shipped compose files, carried out by Docker as docs/operating.md says."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.built_image import provide_image
from tests.servers.compose_project import (
    IMAGE,
    LONG,
    NEXT_IMAGE,
    QUEUE,
    ComposeProject,
    compose_engine,
    write_mounts,
    write_next_release,
    write_receiver,
)
from tests.servers.loopback import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.slow]

MAX_MEBIBYTES = 250
FORBIDDEN = "for program in cc gcc pip pip3 git curl; do command -v $program; done; find /opt/venv -name pip"
ALERT = "CoordinatorOutstandingFault"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComposeProject]:
    folder = tmp_path_factory.mktemp("compose")
    with compose_engine() as engine:
        system = ComposeProject(engine, write_mounts(folder / "programs.json"), write_receiver(folder))
        provide_image(engine)
        system.up()
        system.log_in()
        system.manage("scenario", "import", "-", given=LONG)
        yield system
        system.down()


def run_in_image(system: ComposeProject, *command: str) -> str:
    """What the command prints in a container without network and rights, which can write nothing but /tmp."""
    rights: dict[str, Any] = {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": ""}, "CapDrop": ["ALL"]}  # noqa: S108 - in there
    system.engine.run("looked-at", "sleep", "infinity", image=IMAGE, **rights)
    try:
        return system.engine.run_inside("looked-at", *command)
    finally:
        system.engine.remove("looked-at")


def test_image_is_small_and_has_no_rights_and_no_installers(system: ComposeProject) -> None:
    found = system.engine.ask("GET", f"/images/{IMAGE}/json")
    assert found["Size"] / 2**20 <= MAX_MEBIBYTES
    assert found["Config"]["User"] == "10001"
    assert run_in_image(system, "sh", "-c", FORBIDDEN) == ""
    assert "no cluster is configured" in run_in_image(system, "python", "manage.py", "sweep_clusters")


def test_image_lists_the_packages_in_it(system: ComposeProject) -> None:
    labels = system.engine.ask("GET", f"/images/{IMAGE}/json")["Config"]["Labels"]
    bill = json.loads(run_in_image(system, "cat", labels["test-coordinator.sbom"]))
    packages = {component["purl"].partition("@")[0] for component in bill["components"]}
    assert {"pkg:pypi/django", "pkg:deb/debian/libc6"} <= packages


def test_scenarios_of_the_demo_pass_and_prometheus_counts_them(system: ComposeProject) -> None:
    said = system.manage("scenario", "run", "dependency-hangs", service="worker")
    assert "PASSED" in said
    assert system.wait_for_end(system.start("exchange-latency")) == ("passed", "clean")
    wait_for(lambda: system.query("scenario_runs_total") >= 2, what="the runs are scraped")
    wait_for(
        lambda: {rule["health"] for rule in system.list_rules()} == {"ok"}, what="all rules were evaluated"
    )


def test_killed_worker_leaves_no_fault_and_comes_back(system: ComposeProject) -> None:
    assert system.kill_worker() == ("interrupted", "clean")
    assert system.count_outstanding() == 0
    system.wait_until_ready()


def test_outstanding_fault_reaches_the_receiver_through_alertmanager(system: ComposeProject) -> None:
    run = system.break_orders()
    system.compose("stop", "exchange")
    system.stop(run)
    wait_for(lambda: (ALERT, "firing") in system.list_alerts(), what="the receiver has the alert")
    system.compose("start", "exchange")
    wait_for(lambda: system.count_outstanding() == 0, what="the fault is undone")
    wait_for(lambda: (ALERT, "resolved") in system.list_alerts(), what="the receiver knows of its end")


def test_rolled_image_migrates_and_loses_no_run(system: ComposeProject, tmp_path: Path) -> None:
    """While one run holds its fault, and another waits for the same service."""
    broken, waiting = system.break_orders(), system.start("long", hold="1s")
    exchange = system.find_process("exchange")
    system.files.append(write_next_release(tmp_path))
    system.up("--build")
    assert system.wait_for_end(broken) == ("interrupted", "clean")
    assert system.wait_for_end(waiting) == ("passed", "clean")
    assert {system.find_process(name)[1] for name in ("web", "worker", "watchdog")} == {NEXT_IMAGE}
    assert "[X] 0999_next" in system.manage("showmigrations", "scenarios")
    assert system.find_process("exchange") == exchange
    assert system.orders_work()
    assert system.count_outstanding() == 0


def test_runs_go_through_rq_with_the_other_compose_file(system: ComposeProject, tmp_path: Path) -> None:
    system.files += [QUEUE, write_mounts(tmp_path / "programs.json", queue=True)]
    system.up()
    assert system.wait_for_end(system.start("exchange-latency")) == ("passed", "clean")
    assert "rq:job" in system.compose("exec", "-T", "redis", "redis-cli", "keys", "*")
