"""The host program's faults of names, in a network namespace with a name server."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from injector.host.resolver import build_dns_answer, read_query_name
from tests.servers.loopback import wait_for
from tests.servers.network_namespaces import Loopback
from tests.servers.target_host import TargetHost

pytestmark = pytest.mark.nftables


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
        resolving_host.inject("f2", "dns", answer="servfail")
        assert ask_server(client, "db.example.com") == (2, "")
        resolving_host.ask("renew", id="f2", lease=1)
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


def test_message_that_is_not_a_query_has_no_name() -> None:
    assert read_query_name(build_query("a.b")) == "a.b"
    for data in (b"", bytes(12), build_query("a.b")[:-3], b"\xff" * 40, build_query("a" * 60)[:40]):
        assert read_query_name(data) is None
