"""Host names are looked up beside each other: one name server that hangs delays nobody else."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from injector.lookups import look_up
from tests.unit.injector.conftest import Bench

MANY = 100


class NameServer:
    """Never answers for names that begin with `hangs`, until `over` is set."""

    def __init__(self) -> None:
        self.over = threading.Event()
        self.asked: list[str] = []
        self._really = socket.getaddrinfo

    def ask(self, host: Any, port: Any, *more: Any, **words: Any) -> Any:
        if not str(host).startswith("hangs"):
            return self._really(host, port, *more, **words)
        flags = words.get("flags", more[3] if len(more) > 3 else 0)
        if flags & socket.AI_NUMERICHOST:
            raise socket.gaierror(socket.EAI_NONAME, "not numeric")
        self.asked.append(host)
        self.over.wait(600)
        raise socket.gaierror(socket.EAI_AGAIN, "no name server answers")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    server = NameServer()
    monkeypatch.setattr(socket, "getaddrinfo", server.ask)
    yield server
    server.over.set()


async def test_names_that_hang_delay_no_other_name(name_server: NameServer) -> None:
    hanging = [asyncio.create_task(look_up(f"hangs-{number}.test", 80)) for number in range(MANY)]
    await asyncio.sleep(0)
    async with asyncio.timeout(120):
        assert ("127.0.0.1", 80) in [entry[4] for entry in await look_up("localhost", 80)]
        assert [entry[4] for entry in await look_up("127.0.0.2", 81)] == [("127.0.0.2", 81)]
    assert not any(task.done() for task in hanging)
    name_server.over.set()
    for outcome in await asyncio.gather(*hanging, return_exceptions=True):
        assert isinstance(outcome, socket.gaierror)


async def test_a_name_is_asked_for_once_at_a_time_and_those_who_give_up_end_it_for_nobody(
    name_server: NameServer,
) -> None:
    first, second = (asyncio.create_task(look_up("hangs.test", 80)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    name_server.over.set()
    with pytest.raises(socket.gaierror, match="no name server answers"):
        await second
    assert name_server.asked == ["hangs.test"]
    with pytest.raises(socket.gaierror):
        await look_up("hangs.test", 80)
    assert name_server.asked == ["hangs.test"] * 2


async def test_an_upstream_whose_name_cannot_be_looked_up_resets_its_clients(
    bench: Bench, name_server: NameServer
) -> None:
    """Also one that no name server is asked for, because its labels are too long."""
    other = bench.relay.upstream
    for name in ("x" * 64 + ".test", "no-such-name.invalid"):
        bench.relay.upstream = type(other)(name, 80)
        reader, _writer = await bench.connect()
        async with asyncio.timeout(120):
            with pytest.raises(ConnectionResetError):
                await reader.read()
    bench.relay.upstream = other
    _reader, writer = await bench.connect()
    writer.close()
    assert name_server.asked == []
