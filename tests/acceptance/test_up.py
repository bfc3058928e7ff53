"""`manage.py up`, as README has it, with real processes."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.servers.coordinator import Coordinator, command, find_holder, processes_with, read_until
from tests.servers.loopback import free_port

pytestmark = pytest.mark.slow

CATALOGUE = ("exchange-errors", "exchange-outage", "slow-day")


def up(data: Path, *options: str, port: int | None = None) -> AbstractContextManager[subprocess.Popen[str]]:
    return command(data, "up", "--port", str(port or free_port()), *options)


def test_up_once_prints_a_passed_verdict_and_leaves_no_process(tmp_path: Path) -> None:
    with up(tmp_path, "--once") as process:
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait(300) == 0, output
    assert "PASSED" in output
    assert "rollback clean" in output
    assert processes_with(tmp_path) == {}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
    data = tmp_path_factory.mktemp("up")
    Coordinator(data).migrate()
    with up(data) as process:
        read_until(process.stdout, "Serving")
        yield data, process
    assert processes_with(data) == {}


PAYLOADS = "SELECT payload FROM scenarios_delivery WHERE message LIKE 'run.%'"
# To a receiver that is away: what was to be sent stays in the outbox.
A_WEBHOOK = """
from tests.integration.scenarios.runs.outside_rows import a_webhook
a_webhook()
"""


def test_each_scenario_of_the_catalogue_passes_and_its_messages_lead_to_the_port_of_up(
    serving: tuple[Path, subprocess.Popen[str]],
) -> None:
    data, process = serving
    installed = Coordinator(data)
    installed.manage("shell", "--no-imports", "-c", A_WEBHOOK)
    for name in CATALOGUE:
        with command(data, "scenario", "run", name) as run:
            assert run.stdout is not None
            output = run.stdout.read()
            assert run.wait(300) == 0, output
    words = list(map(str, process.args))  # type: ignore[arg-type] # a list, as `command` makes it
    site = f"http://127.0.0.1:{words[words.index('--port') + 1]}"
    links = [json.loads(payload)["data"]["run"]["url"] for (payload,) in installed.rows(PAYLOADS)]
    assert len(links) >= 2 * len(CATALOGUE)
    assert {link.partition("/admin/")[0] for link in links} == {site}


def test_a_worker_killed_in_a_fault_is_replaced(serving: tuple[Path, subprocess.Popen[str]]) -> None:
    data, _ = serving
    with command(data, "scenario", "run", "exchange-latency", "--var", "hold=1m") as run:
        read_until(run.stdout, "slow the exchange down")
        os.kill(find_holder(data, "db_worker"), signal.SIGKILL)
        assert run.stdout is not None
        output = run.stdout.read()
        assert run.wait(300) == 6, output
    for words in ("INTERRUPTED", "undone: slow the exchange down", "rollback clean"):
        assert words in output
    with command(data, "scenario", "run", "exchange-latency") as run:
        assert run.wait(300) == 0


def test_a_second_up_on_the_same_data_folder_is_refused_and_the_first_goes_on(
    serving: tuple[Path, subprocess.Popen[str]],
) -> None:
    data, first = serving
    with up(data) as second:
        assert second.stdout is not None
        output = second.stdout.read()
        assert second.wait(300) == 1
    assert f"Another 'manage.py up' is running on {data}" in output
    assert "DATA_DIR" in output
    assert first.poll() is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_up_in_the_middle_of_a_fault_undoes_it_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    Coordinator(tmp_path).migrate()
    with up(tmp_path) as process:
        read_until(process.stdout, "Serving")
        with command(tmp_path, "scenario", "run", "exchange-latency", "--var", "hold=1m") as run:
            read_until(run.stdout, "slow the exchange down")
            process.send_signal(number)
            assert run.stdout is not None
            output = run.stdout.read()
            assert run.wait(300) == 6, output
        assert process.stdout is not None
        last_words = process.stdout.read()
        assert process.wait(300) == 0, last_words
    assert "undone: slow the exchange down" in output
    assert "rollback clean" in output
    assert "Still injected" not in last_words
    assert processes_with(tmp_path) == {}


def test_a_taken_port_is_refused_with_its_holder_and_another_port(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with up(tmp_path, port=port) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            assert process.wait(300) == 1
    assert f"Port {port} is in use by" in output
    assert re.search(r"--port \d+", output)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("METRICS_BACKEND", "metrics_app.adapters.nowhere.Adapter", "metrics_app.adapters.prometheus"),
        ("PROMETHEUS_MULTIPROC_DIR", "/proc/metrics", "/proc/metrics"),
        ("ENVIRONMENT", "staging", "production"),
        ("LEASE_SECONDS", "soon", "soon"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_at_start_with_its_value_and_a_hint(
    tmp_path: Path, name: str, value: str, words: str
) -> None:
    with command(tmp_path, "up", "--once", "--port", str(free_port()), **{name: value}) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait(300) != 0
    assert name in output
    assert words in output
    assert "Traceback" not in output
