"""The runs of every shipped scenario for any service: what each breaks, and what all of them showed."""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.servers.plain_system import QUICK, PlainSystem

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
ON_HOST = {
    "process-paused": "process-paused",
    "process-killed": "process-killed",
    "cpu-busy": "http",
    "disk-full": "file",
}
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
