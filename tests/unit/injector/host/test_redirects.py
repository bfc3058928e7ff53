"""The relays of the host program, in a network namespace: connections are slow until the kernel ends this."""

import contextlib
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.loopback import get_port, wait_for
from tests.servers.network_namespaces import Loopback
from tests.servers.target_host import TargetHost, read_state

pytestmark = pytest.mark.nftables


@pytest.fixture
def host(networked_host: TargetHost) -> TargetHost:
    return networked_host


@pytest.fixture
def echo(network: Loopback, server: socket.socket) -> Iterator[socket.socket]:
    """The server, which sends back what the first connections send."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = server.accept()
                with client:
                    while data := client.recv(65536):
                        client.sendall(data)

    threading.Thread(target=serve, daemon=True).start()
    yield server
    server.shutdown(socket.SHUT_RDWR)


def measure_echo(network: Loopback, server: socket.socket, data: bytes = b"x") -> float:
    with network.open_socket() as client:
        client.settimeout(60)
        client.connect(server.getsockname())
        started = time.monotonic()
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while part := client.recv(65536):
            found += part
        assert found == data
        return time.monotonic() - started


def test_answers_are_late_until_the_kernel_ends_the_redirect(
    host: TargetHost, network: Loopback, echo: socket.socket
) -> None:
    place: dict[str, Any] = {"to": "127.0.0.1", "port": get_port(echo)}
    assert host.inject("f1", "latency", **place, delay=0.5)["ok"]
    assert measure_echo(network, echo) >= 0.5
    again = host.ask("describe", kind="bandwidth", arguments={**place, "rate": 9})
    assert "is redirected by the fault 'f1' (latency) already" in again["reason"]
    other = {"to": "127.0.0.1", "port": get_port(echo) ^ 1, "rate": 9}
    assert host.ask("describe", kind="bandwidth", arguments=other)["ok"]
    with network.open_socket() as lasting:
        lasting.connect(echo.getsockname())
        assert host.ask("renew", id="f1", lease=1)["ok"]
        wait_for(lambda: not host.has("f1"), what="the fault is over")
        lasting.sendall(b"x")
        assert lasting.recv(1) == b"x"  # the relay goes on for it
        guardian = host.find_guardian("f1")
        assert read_state(guardian) in {"R", "S"}
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the relay ends with its last connection")
    wait_for(lambda: measure_echo(network, echo) < 0.5, what="answers are in time")
    assert "test_coordinator" not in network.run("nft", "list", "tables")


def test_a_place_that_another_state_directory_redirects_is_refused(
    host: TargetHost, network: Loopback, echo: socket.socket, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = TargetHost(tmp_path / "other", network.inside)
    place: dict[str, Any] = {"to": "127.0.0.1", "port": get_port(echo)}
    assert other.inject("f1", "latency", **place, delay=0.3)["ok"]
    for kind, words in (("latency", {"delay": 0.1}), ("bandwidth", {"rate": 9})):
        answer = host.ask("inject", id=f"{kind}-2", lease=60, kind=kind, arguments={**place, **words})
        assert (answer["ok"], answer["code"]) == (False, "impossible")
        table = re.findall(r"'nft list table inet (\w+)'", answer["reason"])[0]
        assert f"port {get_port(echo)}, is redirected by a fault of another state" in answer["reason"]
        assert table in network.run("nft", "list", "tables")
    assert host.ask("describe", kind="latency", arguments={**place, "port": 9, "delay": 0.1})["ok"]
    assert other.ask("remove", id="f1")["was_there"]
    assert host.inject("f2", "latency", **place, delay=0.3)["ok"]
    assert host.ask("remove", id="f2")["was_there"]


def test_answers_come_at_a_limited_rate(host: TargetHost, network: Loopback, echo: socket.socket) -> None:
    arguments = {"to": "127.0.0.1", "port": get_port(echo), "rate": 100_000}
    assert host.ask("inject", id="f1", lease=60, kind="bandwidth", arguments=arguments)["ok"]
    assert measure_echo(network, echo, b"x" * 60_000) >= 0.4
    host.ask("remove", id="f1")
    wait_for(lambda: measure_echo(network, echo, b"x" * 60_000) < 0.4, what="answers are quick again")


def test_a_relay_whose_guardian_was_killed_is_given_up_with_the_lease(
    host: TargetHost, network: Loopback, echo: socket.socket
) -> None:
    host.inject("f1", "latency", lease=6, to="127.0.0.1", port=get_port(echo), delay=0.1)
    guardian = host.find_guardian("f1")
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the guardian is dead")
    network.wait_until_connected(echo)
    # The kernel counts the lease by a clock of its own.
    wait_for(lambda: host.ask("sweep")["active"] == [], what="the fault is over")
    assert "test_coordinator" not in network.run("nft", "list", "tables")


def test_a_relay_whose_guardian_was_started_again_goes_on(
    host: TargetHost, network: Loopback, echo: socket.socket
) -> None:
    host.inject("f1", "latency", lease=600, to="127.0.0.1", port=get_port(echo), delay=0.5)
    guardian = host.find_guardian("f1")
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the guardian is dead")
    with host.restart_guardian("f1"):
        network.wait_until_connected(echo)
        assert measure_echo(network, echo) >= 0.5
        assert host.ask("renew", id="f1", lease=600)["ok"]
        assert measure_echo(network, echo) >= 0.5
        assert host.ask("remove", id="f1")["was_there"]
    wait_for(lambda: measure_echo(network, echo) < 0.5, what="answers are in time")
