"""Events are followed over broken connections: none is lost, none comes twice."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pytest

from coordinator_client.asynchronous.client import AsyncClient
from coordinator_client.errors import NotFoundError, UnavailableError, UnexpectedAnswerError, WaitTimeoutError
from coordinator_client.following import FollowedRun
from coordinator_client.server_sent_events import EventStreamParser
from coordinator_client.synchronous.client import Client
from coordinator_client.synchronous.runs import Runs
from tests.servers.loopback import free_port
from tests.servers.scripted_api import Answer, problem, scripted_api
from tests.servers.scripted_runs import END, RUN, event, run_row, stream


@contextmanager
def breaking_server(*bodies: bytes) -> Iterator[tuple[str, list[str]]]:
    """Sends each body without its end on a connection, then closes it; keeps the Last-Event-IDs."""
    seen: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for body in bodies:
                with listener.accept()[0] as connection:
                    head = connection.recv(65536).decode()
                    seen.append(head.partition("Last-Event-ID: ")[2].partition("\r\n")[0])
                    head = (
                        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r\n\r\n"
                    )
                    connection.sendall(head.encode() + body)

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", seen
        serving.join(120)


def test_connection_that_breaks_anywhere_loses_and_repeats_nothing() -> None:
    whole = b"retry: 10\n\n" + event(1) + event(2) + event(3) + event(4)
    for place in range(0, len(whole), 7):
        head = whole[:place]
        with breaking_server(head, whole + END) as (server, seen), Client(server) as client:
            assert [found.sequence for found in client.runs.follow(RUN)] == [1, 2, 3, 4], place
        complete = head.count(b"\n\n") - head.startswith(b"retry: 10\n\n")
        assert seen == ["0", str(max(0, complete))], place


def test_stream_without_news_is_asked_again_until_its_end() -> None:
    with (
        scripted_api(stream(event(1)), stream(), stream(event(2), END)) as server,
        Client(server.url) as client,
    ):
        assert [found.sequence for found in client.runs.follow(RUN)] == [1, 2]
    asked = [request.headers["Last-Event-ID"] for request in server.asked]
    assert asked == ["0", "1", "1"]
    assert server.asked[0].path == f"/api/v1/runs/{RUN}/events?wait=20"


def test_run_without_further_events_ends_by_204() -> None:
    with scripted_api(Answer(b"", 204)) as server, Client(server.url) as client:
        assert list(client.runs.follow(RUN, after=9)) == []
    assert server.asked[0].headers["Last-Event-ID"] == "9"


def test_refusals_and_other_answers_end_it_at_once() -> None:
    with scripted_api(problem(404, "There is no run.")) as server, Client(server.url) as client:
        with pytest.raises(NotFoundError, match="There is no run"):
            list(client.runs.follow(RUN))
        assert len(server.asked) == 1
    html = Answer(b"<html>", 200, {"Content-Type": "text/html"})
    refused = pytest.raises(UnexpectedAnswerError, match="'text/html' instead of a stream")
    with scripted_api(html) as server, Client(server.url) as client, refused:
        list(client.runs.follow(RUN))


def test_coordinator_that_stays_away_is_given_up_after_the_outage() -> None:
    with Client(f"http://127.0.0.1:{free_port()}") as client:
        followed = FollowedRun(RUN, 3, max_outage=0.2)
        with pytest.raises(UnavailableError, match="Connection refused"):
            list(client.runs.watch(followed))
    assert followed.last == 3


def test_wait_returns_the_run_or_says_that_it_continues() -> None:
    row, ended = Answer(run_row("running", rollback=None)), Answer(run_row())
    with scripted_api(row, stream(END), ended) as server, Client(server.url) as client:
        assert client.runs.wait(RUN).passed
    assert server.asked[1].headers["Last-Event-ID"] == "4"
    too_long = pytest.raises(WaitTimeoutError, match="has not ended after 0 seconds; it continues")
    with scripted_api(row) as server, Client(server.url) as client, too_long:
        client.runs.wait(RUN, timeout=0)


def test_interrupted_run_is_stopped_and_stays_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_arguments: Any, **_named: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(Runs, "wait", interrupt)
    started = Answer(run_row("running", rollback=None))
    stopped = Answer({"run": RUN, "stopping": True})
    with scripted_api(started, stopped) as server, Client(server.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.run("short", delay_ms=300)
        assert [request.method for request in server.asked] == ["POST", "POST"]
        assert json.loads(server.asked[0].body) == {"variables": {"delay_ms": 300}, "wait": True}
        assert server.asked[1].path == f"/api/v1/runs/{RUN}/stop"
    with scripted_api(started, problem(403, "You may not.")) as server, Client(server.url) as client:
        with pytest.raises(KeyboardInterrupt) as interrupted:
            client.run("short")
        (note,) = interrupted.value.__notes__
        assert note == f"Run {RUN} could not be stopped, and continues: You may not."


async def test_asynchronous_client_follows_in_the_same_way() -> None:
    answers = (Answer(run_row("queued")), stream(event(1), event(2)), stream(event(3), event(4), END))
    with scripted_api(*answers) as server:
        async with AsyncClient(server.url, "tc_x") as client:
            run = await client.runs.start("short", {"delay_ms": 1})
            numbers = [found.sequence async for found in client.runs.follow(run.id)]
    assert numbers == [1, 2, 3, 4]
    assert {request.headers["Authorization"] for request in server.asked} == {"Bearer tc_x"}


def test_parser_takes_bytes_in_any_pieces() -> None:
    text = ": hello\r\nretry: 500\r\n\r\nid: 1\r\nevent: end\r\ndata: é\r\ndata:two\r\n\r\nid: 2\n".encode()
    for size in range(1, len(text) + 1):
        parser = EventStreamParser("0")
        pieces = [text[place : place + size] for place in range(0, len(text), size)]
        (message,) = [message for piece in pieces for message in parser.feed(piece)]
        assert (message.event, message.data, message.id) == ("end", "é\ntwo", "1")
        assert (parser.last_id, parser.retry) == ("1", 0.5)


def feed_event(position: int) -> bytes:
    row = {"run": RUN, "scenario": "short", "sequence": 1, "at": "2026-11-27T03:00:00.123Z"}
    row |= {"kind": "run_finished", "phase": "", "step": "", "data": {"outcome": "passed"}}
    return f"id: {position}\ndata: {json.dumps(row)}\n\n".encode()


def read_feed(client: Client, wanted: int, **filters: Any) -> list[str]:
    return [found.position for found in islice(client.events.follow(**filters), wanted)]


def test_feed_that_breaks_anywhere_loses_and_repeats_nothing() -> None:
    position = b"id: 40\nevent: position\ndata: {}\n\n"
    whole = position + feed_event(41) + feed_event(43)
    for place in range(0, len(whole), 9):
        head = b"retry: 10\n" + whole[:place]
        complete = head.count(b"\n\n")
        rest = whole if complete == 0 else feed_event(41) + feed_event(43)
        with breaking_server(head, rest + feed_event(44)) as (server, seen), Client(server) as client:
            assert read_feed(client, 3) == ["41", "43", "44"], place
        assert seen == ["", ["", "40", "41", "43"][complete]], place


def test_feed_is_continued_behind_the_position_of_an_event() -> None:
    with scripted_api(stream(feed_event(6), feed_event(7))) as server, Client(server.url) as client:
        found = read_feed(client, 2, after="5", kinds=("run_finished", "run_started"), outcome="passed")
    assert found == ["6", "7"]
    assert server.asked[0].headers["Last-Event-ID"] == "5"
    assert server.asked[0].path == "/api/v1/events?kind=run_finished%2Crun_started&outcome=passed&wait=20"


def test_feed_of_a_restored_database_goes_on_at_its_position() -> None:
    back = b"id: 3\nevent: position\ndata: {}\n\n"
    with scripted_api(stream(back, feed_event(4), feed_event(5))) as server, Client(server.url) as client:
        assert read_feed(client, 2, after="900") == ["4", "5"]


async def test_asynchronous_client_follows_the_feed_in_the_same_way() -> None:
    with scripted_api(stream(feed_event(1)), stream(feed_event(2))) as server:
        async with AsyncClient(server.url) as client:
            positions = []
            async for found in client.events.follow(after="0"):
                positions.append(found.position)
                if len(positions) == 2:
                    break
    assert positions == ["1", "2"]
