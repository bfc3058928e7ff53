"""Which processes `manage.py up` starts, and on which ports."""

import shutil
import socket
from dataclasses import astuple, fields
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from coordinator_site import local_system, ports_in_use
from coordinator_site.demo_system import find_proxy_token
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.management.commands.fault_proxy import find_kept_token


def names(ports: local_system.Ports) -> list[str]:
    return [child.name for child in local_system.build_children(ports, "a-token")]


@pytest.fixture
def prometheus_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/prometheus")


@pytest.mark.usefixtures("prometheus_installed")
def test_no_prometheus_is_started_where_the_settings_name_one(settings: Settings, tmp_path: object) -> None:
    settings.DATA_DIR = tmp_path
    ports = local_system.Ports(18080, 18081, 18082, 19090, 18083, 18084, 18474)
    settings.PROMETHEUS_URL = "http://prometheus.test:9090"
    assert "prometheus" not in names(ports)
    assert all(
        "PROMETHEUS_URL" not in child.environment for child in local_system.build_children(ports, "a-token")
    )
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
    assert len(set(astuple(ports))) == len(fields(ports))


def test_the_port_of_the_web_process_is_given_to_no_other_part(settings: Settings) -> None:
    settings.LOCAL_PROMETHEUS_PORT = settings.DEMO_EXCHANGE_PORT = 18080
    ports = local_system.choose_ports(18080)
    assert 18080 not in {ports.exchange, ports.risk_monitor, ports.prometheus}


def test_the_token_of_the_fault_proxy_is_made_once_and_only_its_owner_may_read_it(
    settings: Settings, tmp_path: Path
) -> None:
    settings.SCENARIO_SECRET_DIR = tmp_path / "secrets"
    token = find_proxy_token()
    assert len(token) > 40
    assert find_proxy_token() == token == ConfiguredSecrets().secret("FAULT_PROXY_TOKEN")
    assert (tmp_path / "secrets").stat().st_mode & 0o77 == 0
    assert (tmp_path / "secrets" / "FAULT_PROXY_TOKEN").stat().st_mode & 0o77 == 0


def test_a_configured_token_of_fault_proxies_is_used(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SCENARIO_SECRET_DIR = tmp_path / "secrets"
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", "of-the-site")
    assert find_proxy_token() == "of-the-site"
    assert not (tmp_path / "secrets").exists()


def test_a_fault_proxy_of_this_machine_takes_the_kept_token(settings: Settings, tmp_path: Path) -> None:
    settings.SCENARIO_SECRET_DIR = tmp_path
    assert find_kept_token() is None
    find_proxy_token()
    assert find_kept_token() == tmp_path / "FAULT_PROXY_TOKEN"
