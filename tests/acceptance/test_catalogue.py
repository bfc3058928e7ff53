"""Every shipped scenario for any service, against a shop that knows nothing of chaos."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.servers.catalogue_runs import (
    NAMES,
    NEWCOMERS,
    Outcome,
    build_runs,
    find_address,
    find_stress,
    start_proxy,
)
from tests.servers.coordinator import PROJECT
from tests.servers.loopback import free_port, wait_for
from tests.servers.newcomer import Newcomer
from tests.servers.plain_system import PlainSystem, create_orders, plain_system, price_feed, small_folder
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis_server import redis_server
from tests.servers.second_machine import SecondMachine, second_machine, ssh_settings

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.redis,
    pytest.mark.small_disk,
    pytest.mark.stress_ng,
]

CATALOGUE = PROJECT / "scenarios" / "catalogue"
ON_SECOND_MACHINE = ("network-slow", "network-blackhole")
# Needs systemd on the target; test_host_units.py has its fault.
WITH_SYSTEMD = ("unit-restarted",)
# test_containers.py carries them out.
IN_CONTAINERS = ("container-paused", "container-killed", "container-cut-off", "container-starved")
# test_kubernetes_runs.py runs them.
IN_CLUSTERS = ("deployment-scaled-down", "pods-deleted", "pods-isolated")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, postgresql_server: PostgreSQL) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("catalogue")
    ports = {name: free_port() for name in ("http", "process-paused", "process-killed")}
    database = postgresql_server.new_database()
    create_orders(database)
    with ExitStack() as stack:
        inside = stack.enter_context(small_folder(folder / "disk"))
        for port in ports.values():
            stack.enter_context(price_feed(port, inside))
        cache = stack.enter_context(redis_server(folder))
        addresses = {"postgres": database, "redis": cache.url, "file": f"file://{folder / 'disk'}"}
        addresses |= {name: f"http://127.0.0.1:{port}/prices" for name, port in ports.items()}
        own = ssh_settings(folder / "second")
        system = stack.enter_context(plain_system(folder / "data", addresses, **own))
        dependencies = start_proxy(system)
        system.start_shop(dependencies, inside)
        system.installed.start_watchdog()
        for number in range(2):
            system.start_worker(f"worker-{number}", inside)
        system.start_runs(*build_runs(system, dependencies, ports, folder / "disk"))
        # A scenario of two seconds: its load is seen by one of the looks.
        wait_for(lambda: find_stress() or not system.count_unended(), what="the processors are busy")
        saw_stress = find_stress()
        wait_for(lambda: not system.count_unended(), what="every run has ended")
        yield Outcome(system, database, folder, saw_stress)


@pytest.mark.parametrize("name", NAMES)
def test_the_shop_survives_and_nothing_is_left(outcome: Outcome, name: str) -> None:
    assert outcome.verdicts[name][:2] == ("passed", "clean"), outcome.verdicts[name]
    states = {state for scenario, state in outcome.faults if scenario == name}
    assert states == {"undone"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "cpu-busy"])
def test_the_shop_saw_the_fault(outcome: Outcome, name: str) -> None:
    assert outcome.seen[name] > 0


def test_busy_processors_were_seen_on_the_machine(outcome: Outcome) -> None:
    assert outcome.saw_stress


def test_every_scenario_for_any_service_was_run(outcome: Outcome) -> None:
    stored = {path.stem for path in CATALOGUE.glob("*.yaml") if " fault:" in path.read_text()}
    assert outcome.verdicts.keys() == set(NAMES)
    elsewhere = {*ON_SECOND_MACHINE, *WITH_SYSTEMD, *IN_CONTAINERS, *IN_CLUSTERS}
    assert stored == {*NAMES, *elsewhere}


def test_neither_the_proxy_nor_the_database_has_a_fault_left(outcome: Outcome) -> None:
    assert outcome.proxy_faults == {}
    assert outcome.sessions == [(0,)]


def register_shop(newcomer: Newcomer, shop: PlainSystem) -> None:
    newcomer.register("front", shop.url)
    for name, kind in NEWCOMERS.items():
        proxy = ("--proxy", f"http://127.0.0.1:{shop.control}")
        listener = ("--proxy-listener", f"127.0.0.1:{shop.listeners[name]}")
        newcomer.register(name, find_address(shop.addresses[kind]), *proxy, *listener)


def test_a_newcomer_finds_out_what_the_front_survives_and_how_fast_it_recovers(outcome: Outcome) -> None:
    newcomer = Newcomer(outcome.system)
    register_shop(newcomer, outcome.system)
    runs = [
        newcomer.start(scenario, f"/look/{dependency}", dependency)
        for scenario in ("dependency-slow", "dependency-refuses-connections")
        for dependency in NEWCOMERS
    ]
    once = ("dependency-refuses-connections", "/careless/orders", "orders")
    careless = newcomer.start(*once, within="1s")
    newcomer.wait()
    reports = [newcomer.report(run) for run in runs]
    assert [(report["outcome"], report["rollback"]) for report in reports] == [("passed", "clean")] * 4
    assert all(report["time_to_recover"] > 0 for report in reports)
    assert reports[-1]["time_to_detect"] > 0
    report = newcomer.report(careless)
    assert (report["outcome"], report["rollback"]) == ("failed", "clean")
    assert "502" in report["reason"]
    assert report["time_to_recover"] > 0
    assert outcome.system.ask("/faults", outcome.system.control) == {}


def test_a_run_fails_if_nobody_uses_the_dependency_that_is_down(outcome: Outcome) -> None:
    newcomer = Newcomer(outcome.system)
    # Its page needs no dependency.
    idle = {"service": "shop", "noticed_within": "300ms"}
    runs = [
        newcomer.start("dependency-refuses-connections", "/seen", "dependency-slow", **idle),
        newcomer.start("dependency-comes-and-goes", "/seen", "dependency-jittery", pause="100ms", **idle),
    ]
    newcomer.wait()
    for report in map(newcomer.report, runs):
        assert (report["outcome"], report["rollback"]) == ("failed", "clean")
        assert "the fault was noticed by a connection" in report["reason"]


SUITE = """
apiVersion: coordinator/v1
kind: Suite
metadata: {name: counter}
spec:
  service: counter
  healthy:
    timeout: 60s
    probe: {http: {service: counter, path: /careless/backend, timeout: 60s}}
    expect: {status: 200}
  depends_on:
    - service: counter-backend
      kind: http
      must: fail
      faults: [slow, refused, cpu]
      variables: {latency: 50ms, steady: 100ms, noticed_within: 2m}
  recover_within: 2m
  hold: 300ms
"""


def test_a_suite_fills_its_matrix_with_the_evidence_of_each_cell(outcome: Outcome) -> None:
    newcomer, shop = Newcomer(outcome.system), outcome.system
    proxy = ("--proxy", f"http://127.0.0.1:{shop.control}")
    listener = ("--proxy-listener", f"127.0.0.1:{shop.listeners['backend']}")
    newcomer.register("counter", shop.url)
    newcomer.register("counter-backend", find_address(shop.addresses["http"]), *proxy, *listener)
    (file := outcome.folder / "counter.yaml").write_text(SUITE)
    matrix = newcomer.run_suite(file, "counter")
    states = {cell["fault"]: cell["state"] for cell in matrix["cells"]}
    assert states == {"slow": "survived", "refused": "degraded", "cpu": "skipped"}, matrix
    reports = [newcomer.report(cell["run"]) for cell in matrix["cells"] if cell["run"]]
    assert [(report["outcome"], report["rollback"]) for report in reports] == [("passed", "clean")] * 2
    assert outcome.system.ask("/faults", outcome.system.control) == {}


@pytest.fixture(scope="module")
def second(outcome: Outcome) -> Iterator[SecondMachine]:
    folder = outcome.folder / "second"
    folder.mkdir()
    with second_machine(folder) as machine:
        yield machine


def register_second(newcomer: Newcomer, second: SecondMachine) -> None:
    place = second.address
    proxy = ("--proxy", f"http://{place}:{second.control}", "--proxy-listener", f"{place}:{second.orders}")
    newcomer.register("second-front", f"http://{place}:{second.front}")
    newcomer.register("second-backend", f"http://{place}:{second.backend}")
    newcomer.register("second-orders", f"postgres://{place}:{second.database.port}", *proxy)
    newcomer.register_host("second", second.ssh.address)


@pytest.mark.network_namespaces
@pytest.mark.nftables
@pytest.mark.ssh_server
def test_a_newcomer_finds_out_the_same_about_a_second_machine(
    outcome: Outcome, second: SecondMachine
) -> None:
    newcomer = Newcomer(outcome.system)
    register_second(newcomer, second)
    process = {"service": "second-front", "host": "second", "port": str(second.backend)}
    connection = {**process, "address": second.address}
    backend, orders = ("/look/backend", "second-backend"), ("/look/orders", "second-orders")
    survived = [
        newcomer.start("network-slow", *backend, **connection),
        newcomer.start("process-paused", *backend, **process),
        newcomer.start("process-killed", *backend, **process),
        newcomer.start("network-blackhole", *orders, **{**connection, "port": str(second.orders)}),
        newcomer.start("dependency-slow", *orders, service="second-front"),
    ]
    once = ("process-killed", "/careless/backend", "second-backend")
    careless = newcomer.start(*once, **process, within="500ms")
    # The backend starts again by itself, which that page shows only then.
    patient = newcomer.start(*once, **process, within="60s")
    newcomer.wait()
    reports = [newcomer.report(run) for run in survived]
    verdicts = [(report["outcome"], report["rollback"]) for report in reports]
    assert verdicts == [("passed", "clean")] * 5, [report["reason"] for report in reports]
    assert all(report["time_to_recover"] > 0 for report in reports)
    report = newcomer.report(careless)
    assert (report["outcome"], report["rollback"]) == ("failed", "clean")
    assert "502" in report["reason"]
    report = newcomer.report(patient)
    assert (report["outcome"], report["rollback"]) == ("passed", "clean")
    assert report["time_to_detect"] > 0
    assert report["time_to_recover"] > 0
    wait_for(lambda: not second.list_faults(), what="nothing is left on the machine")
