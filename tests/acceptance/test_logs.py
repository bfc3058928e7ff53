"""What every process of an installation logs: JSON on each line, with the run's id, and no secret."""

import json
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.loopback import wait_for
from tests.servers.redis_server import redis_server
from tests.servers.target import Target, running_target

LONG_FAULT = PROJECT / "tests" / "servers" / "long-fault.yaml"
SECRET = "sesame-open-yourself"


@pytest.fixture
def target() -> Iterator[Target]:
    with running_target() as running:
        yield running


@pytest.fixture
def system(tmp_path: Path, target: Target) -> Iterator[Coordinator]:
    with coordinator(tmp_path, METRICS_TOKEN=SECRET) as installed:
        installed.set_up(target=target.url)
        yield installed


def read_lines(system: Coordinator, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in system.find_log(name).read_text().splitlines()]


def test_each_line_of_each_process_is_json_and_those_of_a_run_have_its_id(
    system: Coordinator, target: Target
) -> None:
    worker = system.start_worker()
    system.start_watchdog()
    run = system.manage("scenario", "run", str(LONG_FAULT), "--detach").strip()
    wait_for(lambda: target.active, what="the fault is injected")
    worker.send_signal(signal.SIGKILL)
    wait_for(lambda: not target.active, what="the fault is undone")
    wait_for(
        lambda: any("interrupted" in line["event"] for line in read_lines(system, "watchdog")), what="it"
    )
    begun = [line for line in read_lines(system, "worker") if "begins" in line["event"]]
    assert [line["run_id"] for line in begun] == [run]
    undone = [
        line for line in read_lines(system, "watchdog") if line["logger"] == "scenarios.supervision.watchdog"
    ]
    assert {line["run_id"] for line in undone} == {run}


@pytest.mark.redis
def test_the_worker_of_the_other_queue_writes_the_same_shape(tmp_path: Path) -> None:
    with (
        redis_server(tmp_path) as queue,
        coordinator(tmp_path, TASK_BACKEND="rq", REDIS_URL=queue.url) as system,
    ):
        system.start_worker()
        wait_for(lambda: "Listening" in system.find_log("worker").read_text(), what="the worker listens")
        assert {line["logger"] for line in read_lines(system, "worker")} == {"rq.worker"}


def test_the_web_process_logs_requests_only_on_request_and_then_in_the_same_shape(
    system: Coordinator,
) -> None:
    system.start_web()
    address = f"http://127.0.0.1:{system.port}/nowhere?password={SECRET}"
    ask(f"http://127.0.0.1:{system.port}/api/v1/health")
    assert {line["logger"] for line in read_lines(system, "web")} == {"gunicorn.error"}
    system.stop()
    system.start("told", "-m", "gunicorn", "--access-logfile", "-")
    wait_for(lambda: "Listening" in system.find_log("told").read_text(), what="gunicorn listens")
    with pytest.raises(urllib.error.HTTPError):
        ask(address)
    wait_for(lambda: "gunicorn.access" in system.find_log("told").read_text(), what="the request is logged")
    by_logger = {line["logger"]: line for line in read_lines(system, "told")}
    assert by_logger["gunicorn.access"]["request_id"] == "abc-1"
    assert by_logger["django.request"]["request_id"] == "abc-1"
    assert SECRET not in system.find_log("told").read_text()


def ask(address: str) -> None:
    request = urllib.request.Request(address, headers={"X-Request-ID": "abc-1"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        assert answer.headers["X-Request-ID"] == "abc-1"
