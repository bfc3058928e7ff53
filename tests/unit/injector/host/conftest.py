"""Hosts whose program a test calls: this machine with a process, and a network namespace with a server."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.network_namespaces import Loopback, loopback
from tests.servers.target_host import (
    TargetHost,
    sleeper,
)


@pytest.fixture
def host(tmp_path: Path) -> TargetHost:
    return TargetHost(tmp_path)


@pytest.fixture
def pid_file(tmp_path: Path) -> Path:
    return tmp_path / "shop.pid"


@pytest.fixture
def shop(pid_file: Path) -> Iterator[int]:
    with sleeper(pid_file) as process:
        yield process.pid


@pytest.fixture(scope="module")
def network() -> Iterator[Loopback]:
    with loopback() as found:
        yield found


@pytest.fixture
def networked_host(network: Loopback, tmp_path: Path) -> Iterator[TargetHost]:
    found = TargetHost(tmp_path, network.inside)
    yield found
    found.kill_guardians()  # also those that still wait for connections
    network.run("nft", "flush ruleset")


@pytest.fixture
def server(network: Loopback) -> Iterator[socket.socket]:
    with network.listen() as found:
        yield found
