"""The configuration that changes while the proxy runs, TLS on both sides, and tokens that are changed."""

import argparse
import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from injector.configuration import (
    ClientTls,
    Listener,
    ServerTls,
    SettingError,
    Settings,
    add_arguments,
    read_settings,
)
from injector.faults import parse_fault
from injector.proxy import Proxy
from injector.tokens import Tokens
from tests.servers.certificates import Authority
from tests.servers.loopback import free_port
from tests.unit.injector.conftest import Bench, echo, until

ANY = ("127.0.0.1", 0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


async def exchange(
    address: tuple[str, int], data: bytes, tls: ssl.SSLContext | None = None, name: str | None = None
) -> bytes:
    reader, writer = await asyncio.open_connection(*address, ssl=tls, server_hostname=name)
    writer.write(data)
    try:
        return await reader.readexactly(len(data))
    finally:
        writer.close()


@pytest.fixture
async def secure_echo(authority: Authority) -> AsyncIterator[tuple[str, int]]:
    tls = ServerTls(str(authority.issue("db.internal", "db.pem"))).build()
    server = await asyncio.start_server(echo, *ANY, ssl=tls)
    yield server.sockets[0].getsockname()[:2]
    server.close()


async def start(*listeners: Listener) -> Proxy:
    proxy = Proxy(Settings(listeners, ANY), Tokens(["open-sesame"]))
    await proxy.start()
    return proxy


@pytest.mark.parametrize("is_inside", [True, False], ids=["faults", "passing"])
async def test_tls_is_ended_and_begun_again(
    authority: Authority, secure_echo: tuple[str, int], is_inside: bool
) -> None:
    shown = ServerTls(str(authority.issue("proxy.internal", "proxy.pem")))
    upstream = ClientTls(ca=str(authority.path), server_name="db.internal")
    proxy = await start(Listener(ANY, secure_echo, shown, upstream))
    ((name, relay),) = proxy.relays.items()
    if is_inside:
        proxy.faults.inject("f1", parse_fault({"latency": 0.05, "direction": "both"}), name, 60)
    client = ssl.create_default_context(cafile=authority.path)
    data = b"hello" * 50_000
    assert await exchange(relay.address, data, client, "proxy.internal") == data
    with pytest.raises(ssl.SSLCertVerificationError):
        await exchange(relay.address, data, client, "other.internal")
    proxy.faults.inject("f2", parse_fault({"http": {"status": 503}}), name, 60)
    reader, writer = await asyncio.open_connection(
        *relay.address, ssl=client, server_hostname="proxy.internal"
    )
    writer.write(b"GET / HTTP/1.1\r\nHost: proxy.internal\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 503 ")
    writer.close()
    proxy.stop()


@pytest.mark.parametrize(
    ("tls", "works"),
    [
        ({"server_name": "db.internal"}, True),
        ({}, False),
        ({"server_name": "db.internal", "ca": None}, False),
        ({"verify": False, "ca": None}, True),
    ],
)
async def test_upstream_is_verified_unless_that_is_switched_off(
    authority: Authority, secure_echo: tuple[str, int], tls: dict[str, Any], works: bool
) -> None:
    proxy = await start(Listener(ANY, secure_echo, None, ClientTls(**{"ca": str(authority.path), **tls})))
    (relay,) = proxy.relays.values()
    if works:
        assert await exchange(relay.address, b"hello") == b"hello"
    else:
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await exchange(relay.address, b"hello")
        assert relay.counts.failed == 1
    proxy.stop()


async def test_reset_of_a_connection_with_tls(authority: Authority, bench: Bench) -> None:
    upstream = (bench.relay.upstream.host, bench.relay.upstream.port)
    shown = ServerTls(str(authority.issue("proxy.internal", "proxy.pem")))
    proxy = await start(Listener(ANY, upstream, shown))
    ((name, relay),) = proxy.relays.items()
    client = ssl.create_default_context(cafile=authority.path)
    reader, writer = await asyncio.open_connection(
        *relay.address, ssl=client, server_hostname="proxy.internal"
    )
    writer.write(b"hello")
    assert await reader.readexactly(5) == b"hello"
    proxy.faults.inject("f1", parse_fault({"reset": True}), name, 60)
    with pytest.raises(ConnectionResetError):
        await reader.read()
    writer.close()
    proxy.stop()


async def test_listeners_come_and_go_while_others_keep_connections_and_faults(
    bench: Bench,
) -> None:
    upstream = (bench.relay.upstream.host, bench.relay.upstream.port)
    proxy = await start(Listener(ANY, upstream), Listener(ANY, upstream))
    first, second = proxy.relays
    proxy.faults.inject("f1", parse_fault({"latency": 0.01}), first, 60)
    proxy.faults.inject("f2", parse_fault({"latency": 0.01}), second, 60)
    reader, writer = await asyncio.open_connection(*proxy.relays[first].address)
    writer.write(b"one")
    assert await reader.readexactly(3) == b"one"
    await proxy.reload(Settings((Listener(ANY, ("127.0.0.1", 1)),), ANY))
    assert list(proxy.relays) == [first]
    assert [fault_id for fault_id, _ in proxy.faults] == ["f1"]
    writer.write(b"two")
    assert await reader.readexactly(3) == b"two"
    writer.close()
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
        await exchange(proxy.relays[first].address, b"hello")  # a new one goes to the new upstream
    proxy.stop()


async def test_listeners_are_named_as_they_are_configured(bench: Bench) -> None:
    upstream = (bench.relay.upstream.host, bench.relay.upstream.port)
    proxy = await start(Listener(("localhost", free_port()), upstream), Listener(ANY, upstream))
    configured, chosen = proxy.relays
    assert configured.startswith("localhost:")
    assert chosen == f"127.0.0.1:{proxy.relays[chosen].address[1]}"
    proxy.faults.inject("f1", parse_fault({"latency": 60}), configured, 60)
    proxy.faults.inject("f1", parse_fault({"latency": 60}), chosen, 60)  # it has moved
    assert await exchange(proxy.relays[configured].address, b"hello") == b"hello"
    proxy.stop()


async def test_address_that_is_taken_leaves_everything_as_it_was(bench: Bench) -> None:
    upstream = (bench.relay.upstream.host, bench.relay.upstream.port)
    proxy = await start(Listener(ANY, upstream))
    before = dict(proxy.relays)
    with pytest.raises(OSError, match="in use"):
        await proxy.reload(Settings((Listener(ANY, upstream), Listener(bench.relay.address, upstream)), ANY))
    with pytest.raises(SettingError, match=r"cannot be used: .* look at /nowhere\.pem"):
        await proxy.reload(Settings((Listener(ANY, upstream, ServerTls("/nowhere.pem")),), ANY))
    assert proxy.relays == before
    (relay,) = before.values()
    assert await exchange(relay.address, b"hello") == b"hello"
    proxy.stop()


async def test_certificate_that_is_renewed_is_shown_to_new_connections(
    authority: Authority, bench: Bench
) -> None:
    upstream = (bench.relay.upstream.host, bench.relay.upstream.port)
    settings = Settings((Listener(ANY, upstream, ServerTls(str(authority.issue("old", "p.pem")))),), ANY)
    proxy = await start(*settings.listeners)
    (relay,) = proxy.relays.values()
    client = ssl.create_default_context(cafile=authority.path)
    assert await exchange(relay.address, b"hello", client, "old") == b"hello"
    authority.issue("new", "p.pem")
    await proxy.reload(settings)
    assert await exchange(relay.address, b"hello", client, "new") == b"hello"
    await proxy.reload(Settings((Listener(ANY, upstream),), ANY))  # without TLS from now on

    async def listens() -> bool:
        return relay.is_listening

    await until(listens)
    assert await exchange(relay.address, b"hello") == b"hello"
    proxy.stop()


def test_tokens_follow_their_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    tokens = Tokens.read(file)
    assert (tokens.accept("old"), tokens.accept("new"), tokens.accept("")) == (True, False, False)
    file.write_text("old\nnew\n")
    assert (tokens.accept("old"), tokens.accept("new")) == (True, True)
    file.write_text("\n")
    with caplog.at_level(logging.WARNING):
        assert tokens.accept("new")
    assert "the token stays as it was" in caplog.text
    file.write_text("new")
    assert (tokens.accept("old"), tokens.accept("new")) == (False, True)


def test_byte_order_mark_of_an_editor_is_no_part_of_what_a_file_says(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("\ufeffsecret\r\n")
    assert Tokens.read(tmp_path / "token").accept("secret")
    (tmp_path / "mark.json").write_text(
        "\ufeff" + json.dumps({"control": "127.0.0.1:3", "listeners": [LISTENER]})
    )
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    found = read_settings(parser.parse_args(["--config", str(tmp_path / "mark.json")]))
    assert [listener.listen for listener in found.listeners] == [("127.0.0.1", 1)]


LISTENER = {"listen": "127.0.0.1:1", "upstream": "127.0.0.1:2"}


def read(tmp_path: Path, config: object, *words: str) -> Settings:
    path = tmp_path / "proxy.json"
    path.write_text(json.dumps(config))
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return read_settings(parser.parse_args(["--control", "127.0.0.1:3", *words, "--config", str(path)]))


def test_configuration_names_certificates_and_how_to_verify(tmp_path: Path) -> None:
    tls = {"certificate": "a.pem", "key": "a.key"}
    found = read(
        tmp_path,
        {"listeners": [{**LISTENER, "tls": tls, "upstream_tls": {"verify": False, "server_name": "db"}}]},
    )
    (listener,) = found.listeners
    assert listener.tls == ServerTls("a.pem", "a.key")
    assert listener.upstream_tls == ClientTls(verify=False, server_name="db")
    assert list(listener.files) == ["a.pem", "a.key"]
    (listener,) = read(tmp_path, {"listeners": [{**LISTENER, "upstream_tls": True}]}).listeners
    assert listener.upstream_tls == ClientTls()


def test_certificate_of_the_control_api_is_an_option_or_in_the_configuration(tmp_path: Path) -> None:
    tls = {"certificate": "c.pem", "key": "c.key"}
    found = read(tmp_path, {"listeners": [LISTENER], "control_tls": tls})
    assert (found.control_tls, found.files) == (ServerTls("c.pem", "c.key"), ["c.pem", "c.key"])
    words = ("--control-certificate", "d.pem")
    found = read(tmp_path, {"listeners": [LISTENER], "control_tls": tls}, *words)
    assert (found.control_tls, found.files) == (ServerTls("d.pem"), ["d.pem"])
    with pytest.raises(SettingError, match="--control-key needs --control-certificate"):
        read(tmp_path, {"listeners": [LISTENER]}, "--control-key", "c.key")
    with pytest.raises(SettingError, match="'control_tls' needs 'certificate'"):
        read(tmp_path, {"listeners": [LISTENER], "control_tls": {"key": "c.key"}})


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([], "must hold a JSON object"),
        ({"listener": []}, "unknown key 'listener'"),
        ({"listeners": {"a": "b"}}, "must be a list"),
        ({"listeners": [{"listen": "a:1"}]}, "needs 'listen' and 'upstream'"),
        ({"listeners": [{**LISTENER, "tsl": {}}]}, "unknown key 'tsl' in a listener"),
        ({"listeners": [{**LISTENER, "tls": {}}]}, "needs 'certificate'"),
        ({"listeners": [{**LISTENER, "tls": "a.pem"}]}, "must be an object"),
        ({"listeners": [{**LISTENER, "tls": {"certificate": 5}}]}, "give text"),
        ({"listeners": [{**LISTENER, "upstream_tls": {"verify": "no"}}]}, "give true or false"),
        ({"listeners": [LISTENER, LISTENER]}, "two listeners have the address 127.0.0.1:1"),
    ],
)
def test_configuration_that_makes_no_sense_is_refused_with_the_reason(
    tmp_path: Path, config: object, words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        read(tmp_path, config)
