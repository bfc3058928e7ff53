"""The client library: what a program may expect of runs, lists and requests."""

import json
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import get_origin

import pytest

from coordinator_client import records
from coordinator_client.errors import NotFoundError, WaitTimeoutError
from coordinator_client.parsing import parse
from coordinator_client.records import Record, Run
from coordinator_client.synchronous.client import Client
from tests.servers.scripted_api import Answer, scripted_api
from tests.servers.scripted_runs import END, RUN, event, run_row, stream

PROJECT = Path(__file__).resolve().parents[3]


def test_run_that_lasts_too_long_is_stopped_and_its_end_is_reported() -> None:
    running = Answer(run_row("running", rollback=None))
    stopped, ended = Answer({"run": RUN, "stopping": True}), Answer(run_row("aborted"))
    answers = (running, running, running, stopped, ended, stream(END), ended)
    with scripted_api(*answers) as server, Client(server.url) as client:
        with pytest.raises(
            WaitTimeoutError, match="not ended after 0 seconds and was stopped: aborted"
        ) as late:
            client.run("short", {"timeout": "2s"}, environment="staging", timeout=0, rate=1)
        assert RUN in str(late.value)
        with pytest.raises(TypeError, match="give a variable of this name in a mapping"):
            client.run("short", timeout="2s")  # type: ignore[arg-type]
    body = {"variables": {"timeout": "2s", "rate": 1}, "wait": True, "environment": "staging"}
    assert json.loads(server.asked[0].body) == body
    assert [request.path for request in server.asked if request.method == "POST"][1].endswith("/stop")
    over = Answer({"run": RUN, "stopping": False})
    passed = Answer(run_row())
    with scripted_api(running, running, running, over, passed) as server, Client(server.url) as client:
        assert client.run_document("x", timeout=0).passed


LEAVES_EARLY = f"""
import asyncio
import sys
from coordinator_client import AsyncClient


async def leave() -> None:
    client = AsyncClient(sys.argv[1])
    async for event in client.runs.follow({RUN!r}):
        print(event.sequence)
        break


asyncio.run(leave())
"""


@contextmanager
def open_stream() -> Iterator[str]:
    """A stream with one event, which stays open until its reader goes."""

    def serve() -> None:
        with listener.accept()[0] as connection:
            connection.recv(65536)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 99999\r\n\r\n"
            connection.sendall(head + event(1))
            connection.recv(65536)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        serving.join(120)


def test_program_that_leaves_the_loop_over_a_run_early_ends_without_a_word() -> None:
    with open_stream() as server:
        done = subprocess.run(
            [sys.executable, "-c", LEAVES_EARLY, server],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")


def test_pages_are_requested_when_they_are_needed() -> None:
    pages = [Answer({"items": [run_row()] * 2, "next_cursor": cursor}) for cursor in ("next", None)]
    with scripted_api(*pages) as server, Client(server.url) as client:
        found = client.runs.iterate(scenario="short")
        assert next(found) == next(found)
        assert len(server.asked) == 1
        assert len([*found]) == 2
    assert "cursor=next" in server.asked[1].path


def test_request_sends_json_or_content() -> None:
    with scripted_api(Answer({"done": True})) as server, Client(server.url) as client:
        assert client.request("POST", "runs", json={"document": "x"}).json() == {"done": True}
        client.request("POST", "runs", content=b"x: 1")
        with pytest.raises(ValueError, match="not both"):
            client.request("POST", "runs", content=b"x: 1", json={})
    assert [(asked.headers["Content-Type"], asked.body) for asked in server.asked] == [
        ("application/json", b'{"document": "x"}'),
        ("application/yaml", b"x: 1"),
    ]


def test_records_can_be_members_of_a_set() -> None:
    first, again, other = (parse(Run, run_row(reason=reason)) for reason in ("a", "a", "b"))
    assert {first, again, other} == {first, other}
    for kind in filter(lambda found: isinstance(found, type), vars(records).values()):
        for field in fields(kind) if issubclass(kind, Record) else ():
            is_mapping = get_origin(field.type) is Mapping
            assert not (is_mapping and field.compare and field.hash is None), (kind, field.name)


def test_a_version_is_restored_only_over_what_was_seen() -> None:
    scenario = {"name": "short", "title": "", "description": "", "tags": [], "document": "now"}
    version = {"version": 1, "at": "2026-11-27T03:00:00Z", "by": None, "current": False, "document": "then"}
    seen = Answer(scenario, headers={"ETag": '"a"'})
    with scripted_api(seen, Answer(version), Answer(scenario)) as server, Client(server.url) as client:
        assert client.scenarios.restore_version("short", 1).name == "short"
    put = server.asked[-1]
    assert (put.method, put.body, put.headers["If-Match"]) == ("PUT", b"then", '"a"')


@pytest.mark.parametrize("name", ["a/b", ""])
def test_what_nothing_can_be_called_is_not_found_and_not_asked_for(name: str) -> None:
    with scripted_api(Answer({})) as server, Client(server.url) as client:
        with pytest.raises(NotFoundError, match="There is nothing with the name") as found:
            client.services.get(name)
        assert (found.value.status, found.value.code) == (404, "not_found")
    assert server.asked == []


SCHEMAS = {
    "Run": "RunDetails",
    "Scenario": "ScenarioInList",
    "Schedule": "ScheduleDetails",
    "Approval": "ApprovalDetails",
    "Service": "ServiceInList",
    "Environment": "EnvironmentInList",
    "Host": "HostInList",
    "Webhook": "WebhookDetails",
    "Delivery": "WebhookDelivery",
    "Fault": "RunFault",
    "Event": "RunEvent",
    "Token": "TokenInList",
    "AllowList": "AllowListInList",
    "Version": "StoredVersion",
    "PlannedRun": "PlannedRun",
    "PlannedStep": "PlannedStep",
    "LastRun": "LastRun",
}


@pytest.mark.parametrize(("name", "schema"), SCHEMAS.items())
def test_a_record_has_all_fields_that_the_api_describes(name: str, schema: str) -> None:
    described = json.loads((PROJECT / "docs" / "openapi.json").read_text())["components"]["schemas"][schema]
    kind = getattr(records, name)
    assert set(described["properties"]) <= {field.name for field in fields(kind)}


def test_the_error_of_a_run_that_lasts_too_long_has_the_run() -> None:
    running = Answer(run_row("running", rollback=None, approval=7, time_to_detect=0.5))
    with scripted_api(running) as server, Client(server.url) as client:
        with pytest.raises(WaitTimeoutError) as late:
            client.runs.wait(RUN, timeout=0)
        assert (late.value.run.id, late.value.run.approval, late.value.run.time_to_detect) == (RUN, 7, 0.5)
        kept = pickle.loads(pickle.dumps(late.value))  # noqa: S301 - its own
        assert kept.run == late.value.run
