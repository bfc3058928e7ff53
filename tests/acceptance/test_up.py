"""`manage.py up`, as README has it, with real processes."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

PROJECT = Path(__file__).resolve().parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def manage(data: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    environment = {
        "PATH": os.environ["PATH"],
        "DATA_DIR": str(data),
        "LEASE_SECONDS": "3",
        "PYTHONUNBUFFERED": "1",
    }
    with subprocess.Popen(
        [sys.executable, "manage.py", *arguments],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def until(output: IO[str], words: str) -> str:
    read = ""
    for line in output:
        read += line
        if words in line:
            return read
    raise AssertionError(f"{words!r} never came:\n{read}")


def processes_with(data: Path) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if f"DATA_DIR={data}".encode() in environment.split(b"\0"):
            found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


def test_up_once_prints_a_passed_verdict_and_leaves_no_process(tmp_path: Path) -> None:
    with manage(tmp_path, "up", "--once", "--port", str(free_port())) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        assert process.wait(60) == 0, output
    assert "PASSED" in output
    assert "rollback clean" in output
    assert processes_with(tmp_path) == []


def test_a_worker_killed_in_the_middle_of_a_fault_leaves_none_and_the_run_is_interrupted(
    tmp_path: Path,
) -> None:
    with manage(tmp_path, "up", "--port", str(free_port())) as process:
        assert process.stdout is not None
        until(process.stdout, "Serving")
        with manage(tmp_path, "scenario", "run", "exchange-latency", "--var", "hold=1m") as run:
            assert run.stdout is not None
            until(run.stdout, "slow the exchange down")
            os.kill(worker_of(tmp_path), signal.SIGKILL)
            output = run.stdout.read()
            assert run.wait(30) == 6, output
        assert "INTERRUPTED" in output
        assert "undone: slow the exchange down" in output
        assert "rollback clean" in output
    assert processes_with(tmp_path) == []


def test_a_taken_port_is_refused_with_its_holder_and_another_port(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with manage(tmp_path, "up", "--port", str(port)) as process:
            assert process.stdout is not None
            output = process.stdout.read()
            assert process.wait(30) == 1
    assert f"Port {port} is taken by" in output
    assert re.search(r"--port \d+", output)


def worker_of(data: Path) -> int:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_text()
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if "db_worker" in command and f"DATA_DIR={data}".encode() in environment.split(b"\0"):
            return int(folder.name)
    raise AssertionError("there is no worker")
