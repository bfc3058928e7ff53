"""The control API, and that a fault ends by itself."""

import asyncio
import time
from contextlib import suppress

import pytest

from injector.configuration import SettingError, parse_address
from tests.unit.injector.conftest import TOKEN, Bench, until


def fault(bench: Bench, lease: float = 60, **kinds: object) -> dict[str, object]:
    return {"listener": bench.listener, "lease": lease, "fault": kinds or {"latency": 0.3}}


async def test_a_fault_is_injected_renewed_and_removed(bench: Bench) -> None:
    assert (await bench.ask("PUT", "/faults/f1", fault(bench))).status == 201
    assert (await bench.ask("PUT", "/faults/f1", fault(bench))).status == 201  # the same again
    found = await bench.ask("GET", "/faults/f1")
    assert found.content["fault"]["latency"] == 0.3
    assert 0 < found.content["seconds_left"] <= 60
    renewed = await bench.ask("POST", "/faults/f1/renew", {"lease": 600})
    assert renewed.content["seconds_left"] > 60
    assert (await bench.ask("DELETE", "/faults/f1")).status == 204
    assert (await bench.ask("GET", "/faults/f1")).status == 404
    assert (await bench.ask("POST", "/faults/f1/renew", {"lease": 60})).status == 404


async def test_a_fault_that_arrives_after_its_removal_is_refused(bench: Bench) -> None:
    assert (await bench.ask("DELETE", "/faults/late")).status == 204  # nobody knows it yet
    answer = await bench.ask("PUT", "/faults/late", fault(bench))
    assert (answer.status, "removed before" in answer.content["error"]) == (409, True)


async def test_a_fault_ends_one_lease_after_its_last_renewal(bench: Bench) -> None:
    await bench.ask("PUT", "/faults/f1", fault(bench, lease=60))
    await bench.ask("POST", "/faults/f1/renew", {"lease": 600})
    assert (await bench.ask("GET", "/faults/f1")).content["seconds_left"] > 60
    renewed = time.monotonic()
    await bench.ask("POST", "/faults/f1/renew", {"lease": 1})

    async def has_ended() -> bool:
        return (await bench.ask("GET", "/faults/f1")).status == 404

    await until(has_ended)
    assert time.monotonic() - renewed > 0.99  # the clock of the loop is read once for each of its rounds
    assert bench.relay.find_faults(1) == {}
    assert "fault_proxy_faults_expired_total 1" in (await bench.ask("GET", "/metrics")).content


async def count_touched(bench: Bench, name: str = "f1") -> object:
    found = (await bench.ask("GET", f"/faults/{name}")).content["touched"]
    assert (await bench.ask("GET", "/faults")).content[name]["touched"] == found
    return found


async def test_connections_that_a_fault_concerns_are_counted(bench: Bench) -> None:
    reader, writer = await bench.connect()
    writer.write(b"before")
    await reader.readexactly(6)
    await bench.ask("PUT", "/faults/f1", fault(bench, latency=0.001))
    assert await count_touched(bench) == 0  # the connection is idle
    for _ in range(2):
        writer.write(b"meanwhile")
        await reader.readexactly(9)
    assert await count_touched(bench) == 1
    other_reader, other = await bench.connect()
    other.write(b"new")
    await other_reader.readexactly(3)
    assert await count_touched(bench) == 2
    await bench.ask("POST", "/faults/f1/renew", {"lease": 60})
    await bench.ask("PUT", "/faults/f2", fault(bench, reset=True))
    assert await count_touched(bench, "f2") == 2
    for touched in (2, 0):  # the second time it is not there
        await bench.ask("DELETE", "/faults/f1")
        assert f"Fault-Touched: {touched}" in bench.last_head.splitlines()
    writer.close()
    other.close()


async def test_a_share_and_a_refusal_touch_only_what_they_break(bench: Bench) -> None:
    reader, writer = await bench.connect()
    await bench.ask("PUT", "/faults/none", fault(bench, latency=0.001, share=0.0))
    await bench.ask("PUT", "/faults/refuse", fault(bench, refuse=True))
    writer.write(b"goes on")
    await reader.readexactly(7)
    assert await count_touched(bench, "none") == await count_touched(bench, "refuse") == 0
    writer.close()


async def test_only_the_token_opens_it(bench: Bench) -> None:
    for token in ("", "wrong"):
        assert (await bench.ask("GET", "/faults", token=token)).status == 401
        assert (await bench.ask("PUT", "/faults/f1", fault(bench), token=token)).status == 401
    assert (await bench.ask("GET", "/health", token="")).status == 200
    assert (await bench.ask("GET", "/faults")).content == {}


@pytest.mark.parametrize(
    ("path", "change", "status"),
    [
        ("/faults/f1", {"listener": "nowhere:1"}, 422),
        ("/faults/f1", {"lease": None}, 422),
        ("/faults/f1", {"lease": 0.1}, 422),
        ("/faults/f1", {"lease": True}, 422),
        ("/faults/f1", {"fault": {"latency": "300ms"}}, 422),
        ("/faults/a b", {}, 400),
        ("/faults/é", {}, 422),
        ("/nothing", {}, 404),
    ],
)
async def test_a_request_that_makes_no_sense_is_refused_with_the_reason(
    bench: Bench, path: str, change: dict[str, object], status: int
) -> None:
    answer = await bench.ask("PUT", path, {**fault(bench), **change})
    assert answer.status == status
    assert answer.content["error"]
    assert (await bench.ask("GET", "/faults")).content == {}


async def test_json_that_is_nested_too_deeply_is_refused(bench: Bench) -> None:
    answer = await bench.send("PUT", "/faults/f1", f"Bearer {TOKEN}", b"[" * 60_000)
    assert (answer.status, answer.content["error"]) == (400, "the body is not JSON")


async def test_garbage_is_refused_and_breaks_nothing(bench: Bench) -> None:
    for garbage in (
        b"\x00\xff\r\n\r\n",
        b"GET\r\n\r\n",
        b"PUT /faults/f HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(*bench.proxy.control_address)
        writer.write(garbage)
        assert (await reader.read()).startswith(b"HTTP/1.1 4")
        writer.close()
    assert (await bench.ask("GET", "/listeners")).content.keys() == {bench.listener}


async def test_clients_that_send_nothing_keep_no_others_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("injector.control.MAX_CONNECTIONS", 5)
    monkeypatch.setattr("injector.control.REQUEST_SECONDS", 600)
    idle = [await asyncio.open_connection(*bench.proxy.control_address) for _ in range(20)]
    for _, writer in idle:
        writer.write(b"PUT /faults/f1 HTTP/1.1\r\n")
    assert (await bench.ask("GET", "/faults")).status == 200
    with suppress(ConnectionResetError):
        assert await idle[0][0].read() == b""
    for _, writer in idle:
        writer.transport.abort()


async def test_client_that_is_too_slow_is_let_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("injector.control.REQUEST_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection(*bench.proxy.control_address)
    writer.write(b"GET /faults HTTP/1.1\r\n")
    with suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("text", ["", "8080", ":8080", "localhost:", "localhost:http", "localhost:99999"])
def test_an_address_without_a_host_and_a_port_is_refused(text: str) -> None:
    with pytest.raises(SettingError, match="is not an address"):
        parse_address(text)


def test_an_address_may_be_of_ipv6() -> None:
    assert parse_address("[::1]:8080") == ("::1", 8080)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"listener": [], "lease": 5, "fault": {"latency": 1}}', "unknown listener []"),
        ('{"listener": "HERE", "lease": 5, "fault": {"latency": 1%s}}' % ("0" * 400), "is out of range"),
        ('{"listener": "HERE", "lease": 1%s, "fault": {"latency": 1}}' % ("0" * 400), "lease=1000"),
        ('{"listener": "HERE", "lease": 5, "fault": {"latency": 1e400}}', "is not a number"),
        ('{"listener": "HERE", "lease": 5, "fault": {"latency": NaN}}', "is not a number"),
        ('{"listener": "HERE", "lease": 5, "fault": {"http": {"path": "/\\ud800"}}}', "half of a surrogate"),
        ('{"listener": "HERE", "lease": 5, "fault": {"http": {"body": "\\udfff"}}}', "half of a surrogate"),
        ('{"listener": "HERE", "lease": 5, "fault": {"direction": {}, "hang": true}}', "direction={}"),
        ('{"listener": "HERE", "lease": 5, "fault": []}', "is an object"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_its_value(bench: Bench, text: str, words: str) -> None:
    body = text.replace("HERE", bench.listener).encode()
    answer = await bench.send("PUT", "/faults/f1", f"Bearer {TOKEN}", body)
    assert (answer.status, words in answer.content["error"]) == (422, True), answer
    assert bench.relay.find_faults(1) == {}
    assert bench.relay.http_rules == {}
