"""The tcp and wait drivers."""

import asyncio
import time
from typing import Any

import pytest
from pydantic import ValidationError

from scenarios.domain.errors import StepImpossible, StepNotSent
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.tcp import Tcp, TcpArguments
from scenarios.drivers.wait import Wait, WaitArguments

from .conftest import Platform, Serve


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def test_listening_port_is_connected(serve: Serve) -> None:
    platform = Platform(await serve(silence))
    seen = await Tcp().probe(TcpArguments(service="exchange"), platform)
    assert seen["connected"] is True
    assert 0 < seen["elapsed"] < 600
    port = int(platform.address.rpartition(":")[2])
    assert (await Tcp().act(TcpArguments(host="127.0.0.1", port=port), platform))["connected"] is True


async def test_closed_port_is_not_connected_for_a_probe_and_fails_an_action(closed_port: int) -> None:
    arguments = TcpArguments(host="127.0.0.1", port=closed_port)
    assert (await Tcp().probe(arguments, Platform()))["connected"] is False
    with pytest.raises(StepNotSent, match=f"127.0.0.1:{closed_port} refused the connection"):
        await Tcp().act(arguments, Platform())


@pytest.mark.parametrize("host", ["127.0.0.1 ", "a b", "user@exchange", "http://exchange", "*", "exchange?"])
def test_invalid_host_names_are_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="is not a host"):
        TcpArguments(host=host, port=80)


@pytest.mark.parametrize(
    "host", ["exchange_1.local", "fe80::1%lo", "[::1]", "börse.example", "127.1", "host."]
)
def test_valid_host_names_are_accepted(host: str) -> None:
    assert TcpArguments(host=host, port=80).host == host.strip("[]")


async def test_unresolved_host_is_not_connected() -> None:
    arguments = TcpArguments(host="no-such-host.invalid", port=80)
    assert (await Tcp().probe(arguments, Platform()))["connected"] is False


@pytest.mark.parametrize("scheme", ["tcp", "postgres", "redis", "grpc"])
async def test_service_of_any_protocol_is_connected(serve: Serve, scheme: str) -> None:
    platform = Platform((await serve(silence)).replace("http", scheme))
    assert (await Tcp().probe(TcpArguments(service="exchange"), platform))["connected"] is True


async def test_service_of_another_protocol_gets_no_http_request() -> None:
    platform = Platform("postgres://127.0.0.1:5432/shop")
    with pytest.raises(StepImpossible, match=r"exchange at postgres://127\.0\.0\.1:5432 is not an HTTP"):
        Http().check(HttpArguments(service="exchange"), platform)


async def test_a_service_without_a_port_makes_the_step_impossible() -> None:
    with pytest.raises(StepImpossible, match="has no host or no port"):
        await Tcp().probe(TcpArguments(service="exchange"), Platform("exchange"))


@pytest.mark.parametrize(
    "words", [{}, {"host": "h"}, {"port": 80}, {"service": "s", "port": 80}, {"host": "h", "port": 0}]
)
def test_address_is_a_service_or_a_host_and_port(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TcpArguments.model_validate(words)


async def test_wait_takes_its_duration() -> None:
    arguments = WaitArguments.model_validate({"duration": "20ms"})
    assert (await Wait().act(arguments, Platform()))["elapsed"] >= 0.02


async def test_stop_ends_a_wait() -> None:
    wait = asyncio.create_task(Wait().probe(WaitArguments.model_validate({"duration": "1h"}), Platform()))
    await asyncio.sleep(0)
    started = time.perf_counter()
    wait.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wait
    assert time.perf_counter() - started < 60  # the wait is one of an hour


@pytest.mark.parametrize("host", ["::1", "[::1]", "0:0:0:0:0:0:0:1", "[0::1]"])
async def test_ipv6_address_is_connected_with_or_without_brackets(host: str) -> None:
    server = await asyncio.start_server(silence, "::1", 0)
    port = server.sockets[0].getsockname()[1]
    assert (await Tcp().probe(TcpArguments(host=host, port=port), Platform()))["connected"] is True
    server.close()


async def test_probe_says_why_the_connection_failed(closed_port: int) -> None:
    refused = await Tcp().probe(TcpArguments(host="[::1]", port=closed_port), Platform())
    assert refused["note"] == f"[::1]:{closed_port} refused the connection"
    unknown = await Tcp().probe(TcpArguments(host="no-such-host.invalid", port=80), Platform())
    assert "a host name that cannot be resolved" in unknown["note"]


@pytest.mark.parametrize("host", ["http://h", "h:80", "[::1]:80", "::zz", "[h", "a/b"])
def test_host_with_a_port_is_refused(host: str) -> None:
    with pytest.raises(ValidationError, match="is not a host"):
        TcpArguments.model_validate({"host": host, "port": 80})
