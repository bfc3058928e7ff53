"""Loads of probes: what asks a server that does not speak HTTP, sent at a constant rate."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotDone, StepNotSent
from scenarios.load import process
from scenarios.load.probe_sender import AdmittedPlatform, name_error
from scenarios.ports import Connection
from tests.servers.loopback import free_port
from tests.servers.redis_server import Redis
from tests.unit.scenarios.load.sent_loads import send_all


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENCE_SECONDS", 600.0)


def order(driver: str, arguments: dict[str, Any], port: int, **more: Any) -> dict[str, Any]:
    request = {
        "driver": f"scenarios.drivers.{driver}",
        "arguments": arguments,
        "addresses": {"stock": f"redis://127.0.0.1:{port}/0"},
        "admitted": [["127.0.0.1", port]],
    }
    words = {"request": request, "choose": {}, "rate": 100.0, "timeout": 100.0, "seed": "a"}
    return {**words, "max_requests": 20, **more}


async def test_each_probe_is_sent_with_a_chosen_value_and_counted(tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    redis.start()
    try:
        asked = {"service": "stock", "command": ["ECHO", "${word}"]}
        words = order("redis.Redis", asked, int(redis.url.rsplit(":", 1)[1].removesuffix("/0")))
        tally = await send_all({**words, "choose": {"word": ["a", 2]}})
    finally:
        redis.stop()
    assert (tally.sent, tally.answered, tally.errors) == (20, 20, Counter())
    assert tally.latency.count == 20


async def test_probes_that_find_no_server_are_errors() -> None:
    port = free_port()
    tally = await send_all(order("tcp.Tcp", {"host": "127.0.0.1", "port": port}, port))
    assert (tally.answered, tally.errors) == (20, Counter({"no connection": 20}))


async def test_a_probe_without_an_answer_counts_as_long_as_its_timeout() -> None:
    """The server accepts connections, and says nothing."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        asked = {"service": "stock", "command": ["PING"]}
        tally = await send_all(order("redis.Redis", asked, port, timeout=0.3, max_requests=5))
        server.close()
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            await asyncio.wait(others)
    assert tally.answered == tally.errors["timeout"] == 5
    assert tally.latency.max == pytest.approx(0.3, rel=0.01)


async def test_only_places_that_were_admitted_at_the_start_are_touched() -> None:
    platform = AdmittedPlatform({}, [["127.0.0.1", 6379]])
    await platform.admit(Connection("localhost", (("127.0.0.1", 6379),)))
    with pytest.raises(StepImpossible, match="leads to another place"):
        await platform.admit(Connection("localhost", (("127.0.0.1", 6379), ("10.0.0.1", 6379))))


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), "timeout"),
        (StepNotSent("redis://secret refused"), "no connection"),
        (StepNotDone("WRONGPASS secret"), "refused"),
        (StepFailed("secret"), "failed"),
        (ZeroDivisionError("secret"), "ZeroDivisionError"),
    ],
)
def test_errors_have_few_kinds_and_no_words_of_the_target(error: Exception, kind: str) -> None:
    assert name_error(error) == kind
