"""With `keep_running`, processes outlive their step: real processes, which each test ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepNotDone
from scenarios.drivers import processes
from scenarios.drivers.command import Command, CommandArguments
from tests.servers.loopback import wait_for

from .conftest import Platform, child_processes

# Ends by itself after a minute, whatever becomes of the test.
SERVICE = "echo $$ > pid; while [ $((n += 1)) -lt 600 ]; do echo alive; echo alive >&2; sleep 0.1; done"
WAYS = {
    "in the background": f"sh -c '{SERVICE}' & while [ ! -s pid ]; do sleep 0.01; done",
    "as a daemon": f"(setsid sh -c '{SERVICE}' &) ; while [ ! -s pid ]; do sleep 0.01; done",
    "with nohup": f"nohup sh -c '{SERVICE}' & while [ ! -s pid ]; do sleep 0.01; done",
}


@pytest.fixture(autouse=True)
def site(settings: Settings, tmp_path: Path) -> Iterator[None]:
    settings.ALLOWED_COMMANDS = ("sh",)
    yield
    with suppress(ProcessLookupError, FileNotFoundError):
        os.kill(started(tmp_path), signal.SIGKILL)


def started(folder: Path) -> int:
    return int((folder / "pid").read_text())


def asked(script: str, folder: Path, **words: Any) -> CommandArguments:
    given = {"run": ["sh", "-c", script], "cwd": str(folder), **words}
    return CommandArguments.model_validate(given)


def is_gone(folder: Path) -> bool:
    return not processes.is_alive(started(folder))


@pytest.mark.parametrize("how", WAYS)
async def test_started_process_keeps_running_and_writing(tmp_path: Path, how: str) -> None:
    before = child_processes()
    await Command().act(asked(WAYS[how], tmp_path, keep_running=True), Platform())
    assert child_processes() == before  # no keeper is left
    pid = started(tmp_path)
    count = Path(f"/proc/{pid}/io")
    written = count.read_text()
    # It writes on: with a closed pipe it would be dead by its first word.
    await asyncio.to_thread(wait_for, lambda: count.read_text() != written, what="it goes on")
    assert processes.is_alive(pid)
    assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (1, 2)} == {"/dev/null"}
    assert os.getsid(pid) != os.getsid(0)
    assert os.getpgid(pid) != os.getpgid(0)


async def test_started_process_ends_without_keep_running(tmp_path: Path) -> None:
    await Command().act(asked(WAYS["as a daemon"], tmp_path), Platform())
    assert is_gone(tmp_path)


async def test_step_does_not_wait_for_kept_processes(tmp_path: Path) -> None:
    step = Command().act(asked(WAYS["in the background"], tmp_path, keep_running=True), Platform())
    await asyncio.wait_for(step, 30)
    assert not is_gone(tmp_path)


@pytest.mark.parametrize(("code", "words", "stays"), [(3, {}, False), (3, {"ok": [0, 3]}, True)])
async def test_failed_command_leaves_nothing_running(
    tmp_path: Path, code: int, words: dict[str, Any], stays: bool
) -> None:
    script = f"{WAYS['as a daemon']}; exit {code}"
    with suppress(StepNotDone):
        await Command().act(asked(script, tmp_path, keep_running=True, **words), Platform())
    assert is_gone(tmp_path) is not stays


async def test_cancelled_command_leaves_nothing_running(tmp_path: Path) -> None:
    script = f"{WAYS['as a daemon']}; sleep 60"
    step = asyncio.create_task(Command().act(asked(script, tmp_path, keep_running=True), Platform()))
    await asyncio.to_thread(wait_for, (tmp_path / "pid").exists, what="it is started")
    await asyncio.to_thread(wait_for, (tmp_path / "pid").read_text, what="its number is there")
    step.cancel()
    with pytest.raises(asyncio.CancelledError):
        await step
    assert is_gone(tmp_path)


async def test_timed_out_command_leaves_nothing_running(tmp_path: Path) -> None:
    script = f"{WAYS['as a daemon']}; sleep 60"
    with pytest.raises(StepFailed, match="was still running"):
        await Command().act(asked(script, tmp_path, keep_running=True, timeout="2s"), Platform())
    assert not (tmp_path / "pid").exists() or is_gone(tmp_path)


def test_dying_coordinator_leaves_nothing_running_before_the_command_is_done(
    tmp_path: Path,
) -> None:
    program = (
        "import asyncio, sys; from scenarios.drivers.child.process import run_child;"
        "asyncio.run(run_child(['/bin/sh', '-c', sys.argv[1]], directory=sys.argv[2], "
        "keeps_running_after=[0]))"
    )
    words = [sys.executable, "-c", program, f"{WAYS['as a daemon']}; sleep 60", str(tmp_path)]
    coordinator = subprocess.Popen(words)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), what="it is started")
    coordinator.kill()
    coordinator.wait()
    wait_for(lambda: is_gone(tmp_path), what="its keeper ends it")
