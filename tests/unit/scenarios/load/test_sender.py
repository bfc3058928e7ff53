"""The process that sends a load, against a real server on loopback."""

import asyncio
import json
import os
import re
import signal
import ssl
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from scenarios.domain.load_tally import Tally
from scenarios.drivers.processes import has_ended, open_process
from scenarios.load import process
from tests.servers.certificates import Authority
from tests.servers.coordinator import PROJECT
from tests.servers.loopback import wait_for
from tests.unit.scenarios.load.sent_loads import (
    LIMIT,
    OK,
    answer_ok,
    collect,
    loading,
    order,
    say,
    send_all,
    serving,
)


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENCE_SECONDS", 600.0)


async def test_every_request_is_counted_and_connections_are_kept() -> None:
    async with serving(answer_ok) as server:
        tally = await send_all(order(server.port))
    assert (tally.sent, tally.answered, tally.errors, len(server.requests)) == (40, 40, Counter(), 40)
    assert tally.latency.count == 40
    assert server.connections < 40


async def test_requests_become_due_whether_or_not_others_are_answered() -> None:
    """The server answers nothing until all 40 have arrived."""
    gate = asyncio.Event()

    async def answer_later(_request: bytes, writer: asyncio.StreamWriter) -> None:
        if len(server.requests) == 40:
            gate.set()
        await gate.wait()
        await say(OK, writer)

    async with serving(answer_later) as server:
        tally = await send_all(order(server.port))
    assert tally.latency.max >= 39 / 200


async def test_a_request_that_the_sender_is_late_with_counts_from_the_moment_it_was_due() -> None:
    async with serving(answer_ok) as server, loading(order(server.port, max_requests=1_000_000)) as load:
        load.enter_phase(0)
        await server.is_reached.wait()
        os.kill(load.pid, signal.SIGSTOP)
        await asyncio.sleep(0.4)
        os.kill(load.pid, signal.SIGCONT)
        tally = Tally()
        while min(tally.lateness.max, tally.latency.max) < 0.35:
            report = await load.read()
            assert report is not None
            for _second, _phase, kept in report["tallies"]:
                tally.merge(Tally.from_json(kept))
            load.enter_phase(0)


async def test_each_request_has_a_trace_of_its_own_and_a_chosen_value() -> None:
    async with serving(answer_ok) as server:
        words = order(server.port, "/price/${item}?q=${item}", choose={"item": ["book", "a b/c"]})
        await send_all(words)
        chosen = [request.split()[1] for request in server.requests]
        await send_all(words)
    again = [request.split()[1] for request in server.requests[40:]]
    traces = set(
        re.findall(rb"traceparent: 00-([0-9a-f]{32})-[0-9a-f]{16}-01\r\n", b"".join(server.requests))
    )
    assert len(traces) == 80
    assert set(chosen) == {b"/price/book?q=book", b"/price/a%20b%2Fc?q=a%20b/c"}
    assert Counter(chosen) == Counter(again)


async def test_the_trace_of_the_slowest_request_is_known() -> None:
    answered: list[bytes] = []
    all_others = asyncio.Event()

    async def answer_first_last(request: bytes, writer: asyncio.StreamWriter) -> None:
        if request is server.requests[0]:
            await all_others.wait()
        await say(OK, writer)
        answered.append(request)
        if len(answered) == 39:
            all_others.set()

    async with serving(answer_first_last) as server:
        tally = await send_all(order(server.port))
    assert f"traceparent: 00-{tally.slowest_trace}-".encode() in answered[-1]
    assert tally.error_traces == {}


async def test_a_body_may_hold_a_chosen_value() -> None:
    async with serving(answer_ok) as server:
        request = {
            "method": "POST",
            "has_json": True,
            "json": {"count": "${n}"},
            "headers": {"X-Side": "${n}"},
        }
        await send_all(order(server.port, choose={"n": [7]}, request=request))
    assert all(
        sent.endswith(b'\r\n\r\n{"count": 7}') and b"X-Side: 7\r\n" in sent for sent in server.requests
    )


async def test_errors_are_counted_by_kind() -> None:
    async def answer_each(_request: bytes, writer: asyncio.StreamWriter) -> None:
        number = len(server.requests) % 4
        if number == 0:
            await say(OK, writer)
        elif number == 1:
            await say(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", writer)
        elif number == 2:
            writer.close()
        else:
            await say(b"SMTP ready\r\n\r\n", writer)

    async with serving(answer_each) as server:
        tally = await send_all(order(server.port, request={"method": "POST"}))
    assert tally.answered == 40
    assert tally.errors["status 503"] == tally.errors["not HTTP"] == 10
    assert tally.errors["connection closed"] + tally.errors["connection reset"] == 10
    # The first of each kind has its trace: they are answered in turn.
    assert tally.error_traces.keys() == tally.errors.keys()
    busy = tally.error_traces["status 503"].encode()
    assert [number % 4 for number, sent in enumerate(server.requests, 1) if busy in sent] == [1]


async def test_statuses_of_ok_are_no_errors_and_others_are() -> None:
    async def answer_missing(_request: bytes, writer: asyncio.StreamWriter) -> None:
        await say(b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n", writer)

    async with serving(answer_missing) as server:
        assert not (await send_all(order(server.port, request={"ok": [404]}))).errors
        assert (await send_all(order(server.port))).errors == Counter({"status 404": 40})


async def test_an_answer_may_end_with_the_connection() -> None:
    async def answer_and_close(_request: bytes, writer: asyncio.StreamWriter) -> None:
        await say(b"HTTP/1.0 200 OK\r\n\r\nabc", writer)
        writer.close()

    async with serving(answer_and_close) as server:
        tally = await send_all(order(server.port))
    assert (tally.answered, tally.errors, server.connections) == (40, Counter(), 40)


async def test_a_kept_connection_that_the_server_has_closed_is_no_error_of_a_get() -> None:
    """It answers, says nothing of the end, and closes with the next request."""

    async def answer_once(_request: bytes, writer: asyncio.StreamWriter) -> None:
        if getattr(writer, "was_used", False):
            writer.transport.abort()
            return
        writer.was_used = True  # type: ignore[attr-defined]
        await say(OK, writer)

    async with serving(answer_once) as server:
        assert not (await send_all(order(server.port, max_requests=10, rate=20.0))).errors


async def test_refused_connections_are_errors_without_a_latency() -> None:
    async with serving(answer_ok) as server:
        port = server.port
    tally = await send_all(order(port))
    assert (tally.answered, tally.errors, tally.latency.count) == (40, Counter({"connection refused": 40}), 0)


async def test_a_timeout_is_an_error_and_counts_with_its_time() -> None:
    async def answer_never(_request: bytes, writer: asyncio.StreamWriter) -> None:
        pass

    async with serving(answer_never) as server:
        tally = await send_all(order(server.port, timeout=0.3))
    assert tally.errors == Counter({"timeout": 40})
    assert tally.latency.max == 0.3


async def test_requests_count_in_the_phase_in_which_they_were_due() -> None:
    async with serving(answer_ok) as server, loading(order(server.port, max_requests=100)) as load:
        load.enter_phase(0)
        await server.is_reached.wait()
        found = await collect(load, phase=1)
    assert set(found) == {0, 1}
    assert found[0].answered + found[1].answered == 100


async def test_the_sender_ends_at_once_when_it_is_killed() -> None:
    async with serving(answer_ok) as server, loading(order(server.port, max_requests=1_000_000)) as load:
        load.enter_phase(0)
        await server.is_reached.wait()
        load.kill()
        assert load._process.poll() == -signal.SIGKILL
        seen = -1
        while seen < len(server.requests):  # what was in the sockets already
            seen = len(server.requests)
            await asyncio.sleep(0.2)


STARTER = """
import asyncio, json, sys
from scenarios.load.process import LoadProcesses

async def main():
    load = await LoadProcesses().start(json.loads(sys.argv[1]))
    await load.read()
    load.enter_phase(0)
    print(load.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def test_the_sender_ends_when_the_process_that_started_it_is_killed() -> None:
    async with serving(answer_ok) as server:
        words = json.dumps(order(server.port, max_requests=1_000_000))
        starter = await asyncio.create_subprocess_exec(
            sys.executable, "-c", STARTER, words, stdout=asyncio.subprocess.PIPE, cwd=PROJECT
        )
        try:
            assert starter.stdout is not None
            async with asyncio.timeout(LIMIT):
                pid = int(await starter.stdout.readline())
                with open_process(pid) as sender:
                    await server.is_reached.wait()
                    starter.kill()
                    await asyncio.to_thread(wait_for, lambda: has_ended(sender), what="the sender ends")
        finally:
            with suppress(ProcessLookupError):
                starter.kill()
            await starter.wait()


async def test_the_sender_ends_when_it_hears_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SILENCE_SECONDS", 0.3)
    async with serving(answer_ok) as server, loading(order(server.port, max_requests=1_000_000)) as load:
        load.enter_phase(0)
        while await load.read() is not None:
            pass


async def test_a_certificate_of_an_authority_that_the_site_trusts_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    secured = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secured.load_cert_chain(authority.issue("shop.example", "shop.pem"))
    for trusted, errors in ((authority.path, Counter()), (tmp_path / "shop.pem", Counter({"TLS failed": 5}))):
        monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
        async with serving(answer_ok, secured) as server:
            request = {"is_tls": True, "host": "shop.example", "url": "https://shop.example/"}
            tally = await send_all(order(server.port, request=request, max_requests=5))
        assert (tally.answered, tally.errors) == (5, errors)


async def test_a_load_has_the_certificates_and_the_credentials_of_its_request(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    client = authority.issue("tester", "client.pem")
    client.chmod(0o600)
    secured = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=authority.path)
    secured.load_cert_chain(authority.issue("shop.example", "shop.pem"))
    secured.verify_mode = ssl.CERT_REQUIRED
    async with serving(answer_ok, secured) as server:
        request = {"is_tls": True, "host": "shop.example", "url": "https://shop.example/"}
        request |= {"ca": str(authority.path), "certificate": str(client)}
        request |= {"authorization": {"Authorization": "Bearer ${item}"}}
        words = order(server.port, request=request, choose={"item": ["book"]}, max_requests=5)
        tally = await send_all(words)
        assert (tally.answered, dict(tally.errors)) == (5, {})
        # A secret is sent as it is, whatever it looks like.
        assert all(b"\r\nAuthorization: Bearer ${item}\r\n" in found for found in server.requests)
