"""Which processes `manage.py up` starts, and on which ports."""

import shutil
import socket

import pytest
from pytest_django.fixtures import Settings

from coordinator_site import local_system, ports_in_use


def names(ports: local_system.Ports) -> list[str]:
    return [child.name for child in local_system.build_children(ports)]


@pytest.fixture
def prometheus_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/prometheus")


@pytest.mark.usefixtures("prometheus_installed")
def test_no_prometheus_is_started_where_the_settings_name_one(settings: Settings, tmp_path: object) -> None:
    settings.DATA_DIR = tmp_path
    ports = local_system.Ports(18080, 18081, 18082, 19090)
    settings.PROMETHEUS_URL = "http://prometheus.test:9090"
    assert "prometheus" not in names(ports)
    assert all("PROMETHEUS_URL" not in child.environment for child in local_system.build_children(ports))
    settings.PROMETHEUS_URL = ""
    assert "prometheus" in names(ports)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::"])  # noqa: S104 - as a Prometheus listens
def test_a_port_that_is_taken_is_replaced_by_a_free_one(settings: Settings, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family, dualstack_ipv6=host == "::") as holder:
        taken = holder.getsockname()[1]
        settings.LOCAL_PROMETHEUS_PORT = taken
        ports = local_system.choose_ports(18080)
    assert ports.prometheus != taken
    assert ports_in_use.is_free(ports.prometheus)
    assert len({ports.web, ports.exchange, ports.risk_monitor, ports.prometheus}) == 4


def test_the_port_of_the_web_process_is_given_to_no_other_part(settings: Settings) -> None:
    settings.LOCAL_PROMETHEUS_PORT = settings.DEMO_EXCHANGE_PORT = 18080
    ports = local_system.choose_ports(18080)
    assert 18080 not in {ports.exchange, ports.risk_monitor, ports.prometheus}
