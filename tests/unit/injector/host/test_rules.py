"""The host program's rules for the network, in a network namespace: the kernel ends each of them."""

import json
import select
import socket
from pathlib import Path

import pytest

from tests.servers.loopback import get_port, wait_for
from tests.servers.network_namespaces import Loopback
from tests.servers.target_host import TargetHost

pytestmark = pytest.mark.nftables


@pytest.fixture
def host(networked_host: TargetHost) -> TargetHost:
    return networked_host


def test_a_blackhole_ends_by_the_kernel_alone(
    host: TargetHost, network: Loopback, server: socket.socket
) -> None:
    network.wait_until_connected(server)
    assert host.inject("f1", "blackhole", lease=6, to="127.0.0.1", port=get_port(server))["ok"]
    assert network.connect(server) == "timeout"
    with network.listen() as other:
        assert network.connect(other, 60) == "connected"
    network.wait_until_connected(server)  # nothing of the host program runs any more
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
    assert network.connect(server) == "timeout"
    host.ask("remove", id="f2")
    assert network.run("nft", "list", "tables") == "table inet shop\n"
    network.wait_until_connected(server)


def test_rules_of_another_state_directory_in_this_network_stay(
    host: TargetHost, network: Loopback, server: socket.socket, tmp_path: Path
) -> None:
    """As those of another user, or of a container with the network of its host."""
    (tmp_path / "other").mkdir()
    other = TargetHost(tmp_path / "other", network.inside)
    assert other.inject("f1", "blackhole", lease=600, to="127.0.0.1", port=get_port(server))["ok"]
    assert host.inject("f1", "blackhole", lease=600, to="127.0.0.1", port=get_port(server))["ok"]
    assert host.ask("remove", id="f1")["was_there"]
    assert not host.has("f1")
    assert other.has("f1")
    assert network.connect(server) == "timeout"
    assert other.ask("renew", id="f1", lease=600)["ok"]
    assert other.ask("remove", id="f1")["was_there"]
    assert "test_coordinator" not in network.run("nft", "list", "tables")
    network.wait_until_connected(server)


def test_a_rule_that_an_earlier_version_added_ends_as_well(
    host: TargetHost, network: Loopback, server: socket.socket
) -> None:
    """In the table that all state directories had."""
    host.inject("f1", "blackhole", lease=600, to="127.0.0.1", port=get_port(server))
    (file,) = host.state.glob("fault-*.json")
    record = json.loads(file.read_text())
    table = record["target"].pop("table")
    file.write_text(json.dumps(record))
    rules = network.run("nft", "--stateless", "list", "ruleset").replace(table, "inet test_coordinator")
    network.run("nft", "flush ruleset")
    network.run("nft", rules)
    assert host.has("f1")
    assert host.ask("renew", id="f1", lease=600)["ok"]
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
    assert network.connect(server, 60) == "refused"
    host.ask("remove", id="f1")
    arguments = {"from": "any", "port": get_port(server)}
    assert host.ask("inject", id="f2", lease=60, kind="reset", arguments=arguments)["ok"]
    assert network.connect(server, 60) == "refused"
    host.ask("remove", id="f2")
    network.wait_until_connected(server)


def test_addresses_of_version_six_are_matched(host: TargetHost, network: Loopback) -> None:
    with network.listen("::1") as server:
        assert host.inject("f1", "reset", to="::1", port=get_port(server))["ok"]
        assert network.connect(server, 60) == "refused"
        host.ask("remove", id="f1")
        network.wait_until_connected(server)


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


def test_a_kernel_that_refuses_rules_is_reported_before_anything_is_injected(
    network: Loopback, server: socket.socket, tmp_path: Path
) -> None:
    """As without nftables: this process may not change the rules."""
    inside = [*network.inside, "setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"]
    host = TargetHost(tmp_path, inside)
    answer = host.inject("f1", "blackhole", to="127.0.0.1", port=get_port(server))
    assert (answer["ok"], answer["code"]) == (False, "impossible")
    assert (
        "'blackhole' cannot be injected here: this kernel does not support nftables rules" in answer["reason"]
    )
    assert host.ask("sweep")["active"] == []
