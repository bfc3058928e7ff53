"""Workers on machines of their own, with one PostgreSQL: in network namespaces, where Linux lets us."""

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from scenarios.domain.worker_commands import quick_worker
from tests.exposition import value
from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.network_namespaces import HERE, Machine, machines
from tests.servers.postgresql import postgresql, programs
from tests.servers.target import Target, running_target

pytestmark = [pytest.mark.postgresql, pytest.mark.network_namespaces, pytest.mark.slow]

RUNS = 12
METRICS_PORT = 9100
LEASE_SECONDS = 3
LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
QUEUE_RUNS = f"""
from scenarios.runs.commands import start_run
document = '''
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: short}}
spec: {{phases: [{{name: p, actions: [{{name: wait, do: {{wait: {{duration: 300ms}}}}}}]}}]}}
'''
for _ in range({RUNS}):
    start_run(document, {{}}, origin="cli")
"""


@pytest.fixture(scope="module")
def three() -> Iterator[list[Machine]]:
    with machines("left", "right", "far") as joined:
        yield joined


@pytest.fixture(scope="module")
def two(three: list[Machine]) -> list[Machine]:
    """Those that have a worker."""
    return three[:2]


@pytest.fixture(scope="module")
def target(two: list[Machine]) -> Iterator[Target]:
    with running_target(HERE) as running:
        yield running


@pytest.fixture(scope="module")
def system(
    tmp_path_factory: pytest.TempPathFactory, two: list[Machine], target: Target
) -> Iterator[Coordinator]:
    """Database, target and watchdog are here; each machine has a worker, and serves its own metrics."""
    data = tmp_path_factory.mktemp("machines")
    found = programs()
    assert found is not None
    options = {"LEASE_SECONDS": str(LEASE_SECONDS), "MAX_CONCURRENT_RUNS": "100"}
    with (
        postgresql(found, HERE) as server,
        coordinator(data, DATABASE_URL=server.url, **options) as installed,
    ):
        installed.set_up(target=target.url)
        for machine in two:
            serve = ("serve_metrics", "--address", machine.address, "--port", str(METRICS_PORT))
            for name, command in (("worker", quick_worker("db")), ("metrics", serve)):
                own = {"PROMETHEUS_MULTIPROC_DIR": str(data / machine.name)}
                words = ("manage.py", *command)
                installed.start(f"{name}-{machine.name}", *words, inside=machine.inside, **own)
        installed.start_watchdog()
        yield installed


ASK_AGAIN = """
import time
from django.db import connection
connection.ensure_connection()
print("connected", flush=True)
input()
begun = time.monotonic()
try:
    connection.cursor().execute("SELECT 1")
except Exception as error:
    print(type(error).__name__, time.monotonic() - begun)
"""


def passed_on(machine: Machine) -> float:
    try:
        with urllib.request.urlopen(f"http://{machine.address}:{METRICS_PORT}/metrics") as answer:
            return value(bytes(answer.read()), "scenario_runs_total", outcome="passed")
    except OSError:
        return 0.0


def carry_out_many(system: Coordinator, two: list[Machine]) -> None:
    before = sum(map(passed_on, two))
    system.manage("shell", "--no-imports", "-c", QUEUE_RUNS)
    wait_for(lambda: sum(map(passed_on, two)) >= before + RUNS, what="every run is carried out")
    assert sum(map(passed_on, two)) == before + RUNS


def test_two_machines_share_the_runs_and_each_reports_its_own(
    system: Coordinator, two: list[Machine]
) -> None:
    carry_out_many(system, two)
    assert all(passed_on(machine) > 0 for machine in two)


def test_a_machine_that_is_cut_off_has_its_fault_undone_by_the_others(
    system: Coordinator, target: Target, two: list[Machine]
) -> None:
    carry_out_many(system, two)  # so that all of them, the watchdog too, have begun
    run = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
    system.wait_for_faults()
    for machine in two:  # whichever of them carries it out
        machine.unplug()
    cut_off_at = time.monotonic()
    wait_for(lambda: not target.active, what="the watchdog undoes the fault")
    assert target.undone_at - cut_off_at <= 60  # the goal is held in test_ends_of_a_worker.py
    for machine in two:
        machine.plug_in()
    carry_out_many(system, two)
    assert (target.injected, target.active) == (1, 0)
    assert "INTERRUPTED" in system.manage("scenario", "report", run, "--format", "md").upper()


def test_a_database_whose_packets_are_lost_is_given_up_soon(
    system: Coordinator, three: list[Machine]
) -> None:
    """TCP alone would wait for a quarter of an hour, and so would the watchdog."""
    far = three[2]
    asking = subprocess.Popen(
        [*far.inside, sys.executable, "manage.py", "shell", "--no-imports", "-c", ASK_AGAIN],
        cwd=PROJECT,
        env=system.environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "connected\n"
        far.lose_packets()
        try:
            error, seconds = asking.communicate("\n", timeout=300)[0].split()
        finally:
            asking.kill()
            far.deliver_packets()
    assert error == "OperationalError"
    assert float(seconds) <= 60
