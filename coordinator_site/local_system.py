"""The processes that `manage.py up` starts on one machine, in their order."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml
from django.conf import settings

from coordinator_site import ports_in_use
from coordinator_site.supervisor import Child
from injector.configuration import TOKEN_VARIABLE
from scenarios.domain.worker_commands import quick_worker

SHIPPED_PROMETHEUS_CONFIG = "deploy/prometheus/prometheus.yml"
# The demo's faults last only a few seconds, and the charts should show them.
SCRAPE_SECONDS = 1
JOB_PORTS = {"test-coordinator": "web", "exchange": "exchange", "risk-monitor": "risk_monitor"}


@dataclass(frozen=True, slots=True)
class Ports:
    web: int
    exchange: int
    risk_monitor: int
    prometheus: int
    price_feed: int
    price_feed_proxy: int
    proxy_control: int

    def get_address(self, name: str) -> str:
        return f"http://127.0.0.1:{getattr(self, name)}"


def choose_ports(web: int) -> Ports:
    """The documented ports if they are free, else any free ones."""
    taken = {web}
    chosen = []
    for wanted in (
        settings.DEMO_EXCHANGE_PORT,
        settings.DEMO_RISK_MONITOR_PORT,
        settings.LOCAL_PROMETHEUS_PORT,
        settings.DEMO_PRICE_FEED_PORT,
        settings.DEMO_PROXY_PORT,
        settings.DEMO_PROXY_CONTROL_PORT,
    ):
        port = wanted
        while port in taken or not ports_in_use.is_free(port):
            port = ports_in_use.free_port()
        taken.add(port)
        chosen.append(port)
    return Ports(web, *chosen)


def build_children(ports: Ports, proxy_token: str) -> list[Child]:
    """In the order of starting. The worker stops before its targets, so that it can still undo its faults."""
    monitoring = prometheus(ports)
    # The port is that of links in messages, too, which workers and the watchdog write.
    shared = {"PORT": str(ports.web), **(build_prometheus_settings(ports) if monitoring else {})}
    return [
        price_feed(ports),
        fault_proxy(ports, proxy_token),
        demo_service("exchange", ports.exchange, "--prices", ports.get_address("price_feed_proxy")),
        demo_service("risk-monitor", ports.risk_monitor, "--watches", ports.get_address("exchange")),
        *monitoring,
        Child(
            "web",
            [sys.executable, "-m", "gunicorn", "--config", "gunicorn.conf.py"],
            shared,
        ),
        replace(manage("watchdog", "watchdog", environment=shared), needs_others=True),
        replace(
            manage("worker", *quick_worker(settings.TASK_BACKEND), environment=shared), needs_others=True
        ),
    ]


def build_prometheus_settings(ports: Ports) -> dict[str, str]:
    return {
        "PROMETHEUS_URL": ports.get_address("prometheus"),
        "PROMETHEUS_SCRAPE_SECONDS": str(SCRAPE_SECONDS),
    }


def manage(name: str, *command: str, environment: Mapping[str, str] | None = None) -> Child:
    manage_py = str(settings.FILES_DIR / "manage.py")
    return Child(name, [sys.executable, manage_py, *command], environment or {})


def demo_service(name: str, port: int, *options: str) -> Child:
    own = {
        "SERVICE_NAME": name,
        "SERVICE_INSTANCE_NAME": name,
        # The demo service shows its own metrics, not those of the coordinator.
        "PROMETHEUS_MULTIPROC_DIR": str(settings.DATA_DIR / f"metrics-{name}"),
    }
    return manage(name, "demo_service", name, "--port", str(port), *options, environment=own)


def price_feed(ports: Ports) -> Child:
    return Child("price-feed", [sys.executable, "-m", "coordinator_site.price_feed", str(ports.price_feed)])


def fault_proxy(ports: Ports, token: str) -> Child:
    """It and the price feed run without Django, because that takes a second to start."""
    addresses = {
        "--listen": f"127.0.0.1:{ports.price_feed_proxy}",
        "--upstream": f"127.0.0.1:{ports.price_feed}",
        "--control": f"127.0.0.1:{ports.proxy_control}",
    }
    options = [word for option in addresses.items() for word in option]
    return Child("fault-proxy", [sys.executable, "-m", "injector", *options], {TOKEN_VARIABLE: token})


def prometheus(ports: Ports) -> list[Child]:
    """Prometheus with the shipped configuration, if it is installed and the settings name no other."""
    binary = shutil.which("prometheus")
    if binary is None or settings.PROMETHEUS_URL:
        return []
    data = settings.DATA_DIR / "prometheus"
    data.mkdir(exist_ok=True)
    config = data / "prometheus.yml"
    config.write_text(build_prometheus_config(settings.FILES_DIR / SHIPPED_PROMETHEUS_CONFIG, ports))
    options = [
        f"--config.file={config}",
        f"--storage.tsdb.path={data / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{ports.prometheus}",
    ]
    return [Child("prometheus", [binary, *options])]


def build_prometheus_config(shipped: Path, ports: Ports) -> str:
    """The shipped configuration with targets on these ports, to be stored in another folder."""
    config = yaml.safe_load(shipped.read_text())
    config["global"]["scrape_interval"] = f"{SCRAPE_SECONDS}s"
    # Prometheus resolves paths relative to its configuration.
    config["rule_files"] = [str(shipped.parent / pattern) for pattern in config["rule_files"]]
    config.pop("alerting", None)  # there is no Alertmanager beside it
    for job in config["scrape_configs"]:
        port = getattr(ports, JOB_PORTS[job["job_name"]])
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    text: str = yaml.safe_dump(config, sort_keys=False)
    return text
