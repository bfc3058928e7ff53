"""Every shipped scenario for any service, against a shop that knows nothing of chaos."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.servers.coordinator import PROJECT
from tests.servers.loopback import free_port, wait_for
from tests.servers.newcomer import Newcomer
from tests.servers.plain_system import (
    QUICK,
    PlainSystem,
    create_orders,
    plain_system,
    price_feed,
    small_folder,
)
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis_server import redis_server
from tests.servers.second_machine import SecondMachine, second_machine, ssh_settings

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.redis,
    pytest.mark.small_disk,
    pytest.mark.stress_ng,
]

MANY = {"share": "0.8", "hold": "1s"}
# The dependency of each scenario that a fault proxy breaks, and its variables.
BY_PROXY: dict[str, tuple[str, dict[str, str]]] = {
    "dependency-slow": ("http", {}),
    "dependency-jittery": ("http", {}),
    "dependency-slow-for-some": ("http", MANY),
    "dependency-cuts-answers": ("http", {}),
    "dependency-trickles": ("http", {}),
    "dependency-corrupts-answers": ("http", {"share": "0.3"}),
    "dependency-closes-slowly": ("http", {}),
    "dependency-fails-some-requests": ("http", MANY),
    "dependency-fails-then-recovers": ("http", {"first": "2"}),
    "dependency-overloaded": ("http", {}),
    "dependency-resets-some-connections": ("http", MANY),
    "dependency-outage-noticed": ("http", {"watched": "/health/dependency-outage-noticed"}),
    "dependency-slower-than-timeout": ("postgres", {}),
    "dependency-refuses-connections": ("postgres", {}),
    "dependency-comes-and-goes": ("redis", {"pause": "100ms"}),
    "dependency-hangs": ("redis", {}),
    "dependency-resets-connections": ("redis", {}),
}
# What a newcomer puts behind the same proxy afterwards.
NEWCOMERS = {"backend": "http", "orders": "postgres"}
BY_SERVER = {
    "postgresql-table-locked": "database",
    "postgresql-connections-used-up": "database",
    "postgresql-sessions-ended": "database",
    "redis-writes-paused": "cache",
    "redis-paused": "cache",
    "redis-clients-closed": "cache",
}
OTHER_CLIENTS = {
    "dependency-closes-slowly": ("http:", "http10:"),
    "postgresql-connections-used-up": ("postgres:", "postgresql:"),
}
CATALOGUE = PROJECT / "scenarios" / "catalogue"
ON_HOST = {
    "process-paused": "process-paused",
    "process-killed": "process-killed",
    "cpu-busy": "http",
    "disk-full": "file",
}
ON_SECOND_MACHINE = ("network-slow", "network-blackhole")
# Needs systemd on the target; test_host_units.py has its fault.
WITH_SYSTEMD = ("unit-restarted",)
# test_containers.py carries them out.
IN_CONTAINERS = ("container-paused", "container-killed", "container-cut-off", "container-starved")
# test_kubernetes_runs.py runs them.
IN_CLUSTERS = ("deployment-scaled-down", "pods-deleted", "pods-isolated")
# Those of one host wait for each other, so they begin first.
NAMES = [*ON_HOST, *BY_SERVER, *BY_PROXY]


class Outcome:
    """What the shop, its servers and the machine showed during the runs, and after them."""

    def __init__(self, system: PlainSystem, database: str, folder: Path, saw_stress: bool) -> None:
        self.folder = folder
        self.verdicts = system.read_verdicts()
        self.faults = system.installed.rows(
            "SELECT r.scenario_name, f.state FROM scenarios_fault f JOIN scenarios_run r ON r.id = f.run_id"
        )
        self.seen: dict[str, int] = system.ask("/seen")
        self.proxy_faults = system.ask("/faults", system.control)
        with psycopg.connect(database) as connection:
            sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'test-coordinator%'"
            self.sessions = connection.execute(sessions).fetchall()
        self.saw_stress = saw_stress
        self.system = system


def find_stress() -> bool:
    return any("stress-ng" in read_name(folder) for folder in Path("/proc").glob("[0-9]*"))


def read_name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text()
    except OSError:
        return ""


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


def start_proxy(system: PlainSystem) -> dict[str, str]:
    """The address of each dependency for the shop, by the name of what breaks it."""
    proxied = {name: kind for name, (kind, _) in BY_PROXY.items()} | NEWCOMERS
    system.start_proxy(proxied)
    dependencies = {name: system.find_behind_proxy(name, kind) for name, kind in proxied.items()}
    addresses = system.addresses
    database = addresses["postgres"].replace("coordinator@", "shop@")
    for name, kind in BY_SERVER.items():
        dependencies[name] = database if kind == "database" else addresses["redis"]
    for name, kind in ON_HOST.items():
        dependencies[name] = addresses[kind]
    # What keeps its connections does not notice these two.
    for name, (scheme, other) in OTHER_CLIENTS.items():
        dependencies[name] = dependencies[name].replace(scheme, other, 1)
    return dependencies


def build_runs(
    system: PlainSystem, dependencies: Mapping[str, str], ports: Mapping[str, int], disk: Path
) -> tuple[list[dict[str, str]], dict[str, dict[str, str]]]:
    """The services to register, and the variables of each scenario."""
    services = [{"name": "shop", "base_url": system.url}]
    own = {
        **{name: variables for name, (_, variables) in BY_PROXY.items()},
        **{name: {"user": "coordinator"} for name in BY_SERVER if name.startswith("postgresql")},
        "process-paused": {"port": str(ports["process-paused"])},
        "process-killed": {"port": str(ports["process-killed"])},
        "cpu-busy": {"load": "0.3"},
        "disk-full": {"folder": str(disk)},
    }
    runs = {}
    for name in NAMES:
        runs[name] = {**QUICK, "service": "shop", "path": f"/look/{name}", **own.get(name, {})}
        if dependencies[name].startswith("file:") or name == "cpu-busy":
            continue
        service = {"name": name, "base_url": find_address(dependencies[name])}
        if name in BY_PROXY:
            service["proxy"] = f"http://127.0.0.1:{system.control}"
            service["proxy_listener"] = f"127.0.0.1:{system.listeners[name]}"
        services.append(service)
        runs[name]["dependency"] = name
    return services, runs


def find_address(url: str) -> str:
    """Of a service: without what only its client has to know."""
    parts = urlsplit(url)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return address.replace("http10:", "http:").removesuffix("/prices")


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
    assert [(report["outcome"], report["rollback"]) for report in reports] == [("passed", "clean")] * 5
    assert all(report["time_to_recover"] > 0 for report in reports)
    report = newcomer.report(careless)
    assert (report["outcome"], report["rollback"]) == ("failed", "clean")
    assert "502" in report["reason"]
    report = newcomer.report(patient)
    assert (report["outcome"], report["rollback"]) == ("passed", "clean")
    assert report["time_to_detect"] > 0
    assert report["time_to_recover"] > 0
    wait_for(lambda: not second.list_faults(), what="nothing is left on the machine")
