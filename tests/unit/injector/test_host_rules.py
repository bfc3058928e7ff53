"""The host program's rules for the network, in a network namespace: the kernel ends each of them."""

import contextlib
import json
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from injector.host.resolver import build_dns_answer, read_query_name
from tests.servers.loopback import wait_for
from tests.servers.network_namespaces import Loopback, loopback
from tests.servers.target_host import TargetHost, read_state

pytestmark = pytest.mark.nftables

# Seconds in which a connection that nothing holds up is made, here; a longer wait only for one that must be.
SOON = 0.3


@pytest.fixture(scope="module")
def network() -> Iterator[Loopback]:
    with loopback() as found:
        yield found


@pytest.fixture
def host(network: Loopback, tmp_path: Path) -> Iterator[TargetHost]:
    found = TargetHost(tmp_path, network.inside)
    yield found
    found.kill_guardians()  # one that still waits for connections would delete the next test's rules
    network.run("nft", "flush ruleset")  # the next test has the same ids


@pytest.fixture
def server(network: Loopback) -> Iterator[socket.socket]:
    with network.listen() as found:
        yield found


def connect(network: Loopback, server: socket.socket, seconds: float = SOON) -> str:
    with network.open_socket(server.family) as client:
        client.settimeout(seconds)
        try:
            client.connect(server.getsockname()[:2])
        except TimeoutError:
            return "timeout"
        except ConnectionError:
            return "refused"
        return "connected"


def wait_until_connected(network: Loopback, server: socket.socket) -> None:
    wait_for(lambda: connect(network, server, 1.0) == "connected", what="the connection is made")


def get_port(server: socket.socket) -> int:
    return int(server.getsockname()[1])


def test_a_blackhole_ends_by_the_kernel_alone(
    host: TargetHost, network: Loopback, server: socket.socket
) -> None:
    wait_until_connected(network, server)
    assert host.inject("f1", "blackhole", lease=3, to="127.0.0.1", port=get_port(server))["ok"]
    assert connect(network, server) == "timeout"
    with network.listen() as other:
        assert connect(network, other, 60) == "connected"
    wait_until_connected(network, server)  # nothing of the host program runs any more
    assert not host.has("f1")
    assert host.ask("renew", id="f1", lease=5)["code"] == "gone"
    assert "test_coordinator" not in network.run("nft", "list", "tables")


def test_a_rule_is_renewed_removed_and_leaves_others_alone(
    host: TargetHost, network: Loopback, server: socket.socket
) -> None:
    network.run("nft", "add table inet shop")
    host.inject("f1", "blackhole", to="127.0.0.1", port=get_port(server))
    host.inject("f2", "blackhole", to="127.0.0.1", port=get_port(server), protocol="tcp")
    assert host.ask("renew", id="f1", lease=1800)["ok"]
    rules = json.loads(network.run("nft", "--json", "list", "ruleset"))["nftables"]
    elements = [part["set"]["elem"][0]["elem"] for part in rules if "set" in part]
    short, long = sorted(element["timeout"] for element in elements)
    assert short <= 60
    assert 1000 < long <= 1800
    assert host.ask("remove", id="f1") == {"ok": True, "was_there": True}
    assert not host.has("f1")
    assert host.has("f2")
    assert connect(network, server) == "timeout"
    host.ask("remove", id="f2")
    assert network.run("nft", "list", "tables") == "table inet shop\n"
    wait_until_connected(network, server)


def test_rules_of_another_state_directory_in_this_network_stay(
    host: TargetHost, network: Loopback, server: socket.socket, tmp_path: Path
) -> None:
    """As those of another user, or of a container with the network of its host."""
    (tmp_path / "other").mkdir()
    other = TargetHost(tmp_path / "other", network.inside)
    assert other.inject("f1", "blackhole", to="127.0.0.1", port=get_port(server))["ok"]
    assert host.inject("f1", "blackhole", to="127.0.0.1", port=get_port(server))["ok"]
    assert host.ask("remove", id="f1")["was_there"]
    assert not host.has("f1")
    assert other.has("f1")
    assert connect(network, server) == "timeout"
    assert other.ask("renew", id="f1", lease=60)["ok"]
    assert other.ask("remove", id="f1")["was_there"]
    assert "test_coordinator" not in network.run("nft", "list", "tables")
    wait_until_connected(network, server)


def test_a_rule_that_an_earlier_version_added_ends_as_well(
    host: TargetHost, network: Loopback, server: socket.socket
) -> None:
    """In the table that all state directories had."""
    host.inject("f1", "blackhole", to="127.0.0.1", port=get_port(server))
    (file,) = host.state.glob("fault-*.json")
    record = json.loads(file.read_text())
    table = record["target"].pop("table")
    file.write_text(json.dumps(record))
    rules = network.run("nft", "--stateless", "list", "ruleset").replace(table, "inet test_coordinator")
    network.run("nft", "flush ruleset")
    network.run("nft", rules)
    assert host.has("f1")
    assert host.ask("renew", id="f1", lease=60)["ok"]
    assert host.ask("remove", id="f1")["was_there"]
    assert "test_coordinator" not in network.run("nft", "list", "tables")


def test_a_rule_that_somebody_flushed_is_a_lost_fault(
    host: TargetHost, network: Loopback, server: socket.socket
) -> None:
    host.inject("f1", "blackhole", to="127.0.0.1", port=get_port(server))
    network.run("nft", "flush ruleset")
    assert not host.has("f1")
    assert host.ask("renew", id="f1", lease=5)["code"] == "gone"


def test_connections_are_reset(host: TargetHost, network: Loopback, server: socket.socket) -> None:
    assert host.inject("f1", "reset", to="127.0.0.1", port=get_port(server))["ok"]
    assert connect(network, server, 60) == "refused"
    host.ask("remove", id="f1")
    arguments = {"from": "any", "port": get_port(server)}
    assert host.ask("inject", id="f2", lease=60, kind="reset", arguments=arguments)["ok"]
    assert connect(network, server, 60) == "refused"
    host.ask("remove", id="f2")
    wait_until_connected(network, server)


def test_addresses_of_version_six_are_matched(host: TargetHost, network: Loopback) -> None:
    with network.listen("::1") as server:
        assert host.inject("f1", "reset", to="::1", port=get_port(server))["ok"]
        assert connect(network, server, 60) == "refused"
        host.ask("remove", id="f1")
        wait_until_connected(network, server)


def test_a_share_of_connections_is_lost(host: TargetHost, network: Loopback, server: socket.socket) -> None:
    assert host.inject("f1", "loss", to="127.0.0.1", port=get_port(server), share=0.5, seed=7)["ok"]
    clients = [network.open_socket() for _ in range(60)]
    for client in clients:
        client.setblocking(False)
        client.connect_ex(server.getsockname())

    def count_connected() -> int:
        return len(select.select([], clients, [], 0)[1])

    wait_for(lambda: count_connected() > 10, what="half of them are made")
    assert count_connected() < 50
    for client in clients:
        client.close()
    host.ask("remove", id="f1")


def test_rules_that_would_cut_the_own_connection_are_refused(
    host: TargetHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_CONNECTION", "10.0.0.9 50000 10.0.0.2 22")

    def refuse(kind: str, **arguments: object) -> str:
        coordinator = ["10.0.0.1:5432"]
        answer = host.ask_here("describe", kind=kind, arguments=arguments, coordinator=coordinator)
        return str(answer.get("reason", ""))

    assert "would cut" in refuse("blackhole", to="10.0.0.9")
    assert "would cut" in refuse("blackhole", to="10.0.0.9", port=50000)
    assert "would cut" in refuse("reset", **{"from": "10.0.0.9"}, port=22)
    assert "would cut" in refuse("loss", **{"from": "any"}, port=22, share=0.5)
    assert "would cut" in refuse("blackhole", to="10.0.0.1", port=5432)
    assert "would cut" in refuse("blackhole", to="::ffff:10.0.0.1", port=5432)
    assert refuse("blackhole", to="10.0.0.1", port=6379) == ""
    assert refuse("blackhole", to="10.0.0.7") == ""
    assert "needs a 'port'" in refuse("blackhole", to="any")
    assert "not an IP address" in refuse("blackhole", to="10.0.0.7; flush ruleset")
    assert "port=" in refuse("blackhole", to="10.0.0.7", port="22 drop")


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


def test_answers_come_at_a_limited_rate(host: TargetHost, network: Loopback, echo: socket.socket) -> None:
    arguments = {"to": "127.0.0.1", "port": get_port(echo), "rate": 100_000}
    assert host.ask("inject", id="f1", lease=60, kind="bandwidth", arguments=arguments)["ok"]
    assert measure_echo(network, echo, b"x" * 60_000) >= 0.4
    host.ask("remove", id="f1")
    wait_for(lambda: measure_echo(network, echo, b"x" * 60_000) < 0.4, what="answers are quick again")


def test_a_relay_whose_guardian_was_killed_is_given_up_with_the_lease(
    host: TargetHost, network: Loopback, echo: socket.socket
) -> None:
    host.inject("f1", "latency", lease=3, to="127.0.0.1", port=get_port(echo), delay=0.1)
    guardian = host.find_guardian("f1")
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the guardian is dead")
    wait_until_connected(network, echo)
    assert host.ask("sweep")["active"] == []
    assert "test_coordinator" not in network.run("nft", "list", "tables")


def test_a_relay_whose_guardian_was_started_again_goes_on(
    host: TargetHost, network: Loopback, echo: socket.socket
) -> None:
    host.inject("f1", "latency", lease=120, to="127.0.0.1", port=get_port(echo), delay=0.5)
    guardian = host.find_guardian("f1")
    os.kill(guardian, signal.SIGKILL)
    wait_for(lambda: read_state(guardian) in {"", "Z"}, what="the guardian is dead")
    with host.restart_guardian("f1"):
        wait_until_connected(network, echo)
        assert measure_echo(network, echo) >= 0.5
        assert host.ask("renew", id="f1", lease=60)["ok"]
        assert measure_echo(network, echo) >= 0.5
        assert host.ask("remove", id="f1")["was_there"]
    wait_for(lambda: measure_echo(network, echo) < 0.5, what="answers are in time")


NAME_SERVER = "127.0.0.9"
TRUE_ANSWER = "10.1.1.1"


def build_query(name: str, kind: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return b"\x12\x34\x01\x00\x00\x01" + bytes(6) + labels + b"\x00" + bytes([0, kind, 0, 1])


@pytest.fixture
def name_server(network: Loopback) -> Iterator[socket.socket]:
    with network.open_socket(kind=socket.SOCK_DGRAM) as server:
        server.bind((NAME_SERVER, 53))

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    query, client = server.recvfrom(4096)
                    if not query:
                        return
                    server.sendto(build_dns_answer(query, TRUE_ANSWER) or b"", client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server
        with contextlib.suppress(OSError):  # it is not connected, and wakes up all the same
            server.shutdown(socket.SHUT_RD)
        thread.join()


@contextlib.contextmanager
def open_client(network: Loopback) -> Iterator[socket.socket]:
    with network.open_socket(kind=socket.SOCK_DGRAM) as client:
        client.settimeout(3)
        client.connect((NAME_SERVER, 53))
        yield client


def look_up(network: Loopback, name: str, kind: int = 1) -> tuple[int, str]:
    """The code of the answer, and the address in it."""
    with open_client(network) as client:
        return ask_server(client, name, kind)


def ask_server(client: socket.socket, name: str, kind: int = 1) -> tuple[int, str]:
    """As `look_up`. A query that is lost is sent again, as every resolver does: a fault may end meanwhile."""
    query = build_query(name, kind)
    for _ in range(20):
        client.send(query)
        with contextlib.suppress(TimeoutError):
            answer = client.recv(4096)
            assert answer[:2] == query[:2]
            return answer[3] & 15, ".".join(map(str, answer[-4:])) if answer[7] else ""
    raise AssertionError("no answer")


@pytest.fixture
def resolving_host(network: Loopback, tmp_path: Path) -> Iterator[TargetHost]:
    """A host that asks NAME_SERVER."""
    resolv_conf = tmp_path / "resolv.conf"
    resolv_conf.write_text(f"search example.com\nnameserver {NAME_SERVER}\n")
    mount = 'mount --bind "$0" /etc/resolv.conf && exec "$@"'
    found = TargetHost(tmp_path, [*network.inside, "unshare", "--mount", "sh", "-c", mount, str(resolv_conf)])
    yield found
    found.kill_guardians()
    network.run("nft", "flush ruleset")


def test_a_client_that_keeps_its_socket_meets_the_fault_and_its_end(
    resolving_host: TargetHost, network: Loopback, name_server: socket.socket
) -> None:
    network.run("nft", "add table ip shop")
    network.run("nft", "add chain ip shop out { type nat hook output priority 0; }")  # as Docker has one
    with open_client(network) as client:
        assert ask_server(client, "db.example.com") == (0, TRUE_ANSWER)
        resolving_host.inject("f1", "dns", answer="servfail")
        assert ask_server(client, "db.example.com") == (2, "")
        resolving_host.ask("remove", id="f1")
        assert ask_server(client, "db.example.com") == (0, TRUE_ANSWER)
        resolving_host.inject("f2", "dns", lease=3, answer="servfail")
        assert ask_server(client, "db.example.com") == (2, "")
        wait_for(lambda: not resolving_host.has("f2"), what="the lease is over")
        wait_for(
            lambda: ask_server(client, "db.example.com") == (0, TRUE_ANSWER), what="the name is true again"
        )


def test_names_fail_lie_and_are_slow(
    resolving_host: TargetHost, network: Loopback, name_server: socket.socket
) -> None:
    host = resolving_host

    def inject(fault_id: str, **arguments: object) -> dict[str, Any]:
        return host.ask("inject", id=fault_id, lease=60, kind="dns", arguments=arguments)

    assert look_up(network, "db.example.com") == (0, TRUE_ANSWER)
    answer = inject("f1", names=["db.Example.com", "*.shop.example.com"], answer="10.9.9.9")
    assert answer["done"]["servers"] == [NAME_SERVER]
    assert "is redirected by the fault 'f1' (dns) already" in inject("again", answer="servfail")["reason"]
    assert look_up(network, "DB.example.com") == (0, "10.9.9.9")
    assert look_up(network, "a.shop.example.com") == (0, "10.9.9.9")
    assert look_up(network, "a.shop.example.com", kind=28) == (0, "")
    assert look_up(network, "www.example.com") == (0, TRUE_ANSWER)
    host.ask("remove", id="f1")
    wait_for(lambda: look_up(network, "db.example.com") == (0, TRUE_ANSWER), what="the name is true again")
    assert inject("f2", answer="servfail")["ok"]
    assert look_up(network, "db.example.com") == (2, "")
    assert host.ask("renew", id="f2", lease=1)["ok"]
    wait_for(lambda: look_up(network, "db.example.com") == (0, TRUE_ANSWER), what="the lease is over")
    assert inject("f3", delay=0.5)["ok"]
    started = time.monotonic()
    assert look_up(network, "db.example.com") == (0, TRUE_ANSWER)
    assert time.monotonic() - started >= 0.5
    host.ask("remove", id="f3")
    assert "has no effect" in inject("f4")["reason"]


def test_what_is_not_a_query_has_no_name() -> None:
    assert read_query_name(build_query("a.b")) == "a.b"
    for data in (b"", bytes(12), build_query("a.b")[:-3], b"\xff" * 40, build_query("a" * 60)[:40]):
        assert read_query_name(data) is None
