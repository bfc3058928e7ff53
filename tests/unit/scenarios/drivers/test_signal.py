"""The signal driver, with real processes that are stopped and continued."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepFailed, StepImpossible, StepNotSent
from scenarios.drivers import processes
from scenarios.drivers.signal import Signal, SignalArguments

from .conftest import Platform

LONG_AGO = 1_000_000_000


@pytest.fixture
def folder(tmp_path: Path, settings: Settings) -> Path:
    """The one folder of pid files that the site allows."""
    allowed = tmp_path / "run"
    allowed.mkdir()
    settings.ALLOWED_PIDFILE_DIRS = (allowed,)
    return allowed


@pytest.fixture
def target() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["/bin/sleep", "600"]) as process:
        yield process
        process.kill()


@pytest.fixture
def pidfile(folder: Path, target: subprocess.Popen[bytes]) -> Path:
    file = folder / "target.pid"
    file.write_text(f"{target.pid}\n")
    return file


def asked(name: str, **words: Any) -> SignalArguments:
    return SignalArguments.model_validate({"signal": name, **words})


async def send(name: str, **words: Any) -> dict[str, Any]:
    return dict(await Signal().act(asked(name, **words), Platform()))


def stopped(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process is, by the parent's own wait."""
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    return os.WIFSTOPPED(status)


def continued(process: subprocess.Popen[bytes]) -> bool:
    _, status = os.waitpid(process.pid, os.WCONTINUED)
    return os.WIFCONTINUED(status)


async def test_process_of_a_pid_file_is_stopped_and_continued(
    pidfile: Path, target: subprocess.Popen[bytes]
) -> None:
    assert await send("STOP", pidfile=str(pidfile)) == {"pid": target.pid}
    assert stopped(target)
    assert await send("CONT", pidfile=str(pidfile)) == {"pid": target.pid}
    assert continued(target)


@pytest.mark.parametrize("name", ["TERM", "KILL", "HUP", "USR1", "USR2", "INT"])
async def test_every_signal_of_the_language_is_sent(
    name: str, pidfile: Path, target: subprocess.Popen[bytes]
) -> None:
    await send(name, pidfile=str(pidfile))
    assert target.wait() == -signal.Signals[f"SIG{name}"]


async def test_process_may_be_named_by_its_number_if_a_pid_file_names_it(
    pidfile: Path, target: subprocess.Popen[bytes]
) -> None:
    await send("STOP", pid=target.pid)
    assert stopped(target)
    pidfile.unlink()
    with pytest.raises(StepImpossible, match=r"no \*.pid file names process"):
        await send("CONT", pid=target.pid)


async def test_process_may_be_named_by_its_port_if_a_pid_file_names_it(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with subprocess.Popen(["/bin/sleep", "600"], pass_fds=[listener.fileno()]) as target:
            with pytest.raises(
                StepImpossible, match=f"no .*pid file names the process that listens on port {port}"
            ):
                await send("STOP", port=port)
            (folder / "listener.pid").write_text(str(target.pid))
            assert await send("TERM", port=port) == {"pid": target.pid}
            assert target.wait() == -signal.SIGTERM


async def test_port_without_a_listener_makes_the_step_impossible(folder: Path, closed_port: int) -> None:
    with pytest.raises(StepImpossible, match=f"no visible process listens on port {closed_port}"):
        await send("STOP", port=closed_port)


async def test_a_probe_finds_the_process_and_sends_nothing(
    pidfile: Path, target: subprocess.Popen[bytes]
) -> None:
    assert await Signal().probe(asked("KILL", pidfile=str(pidfile)), Platform()) == {"pid": target.pid}
    assert target.poll() is None


async def test_missing_process_fails_probes_and_actions_except_cont(
    pidfile: Path, target: subprocess.Popen[bytes]
) -> None:
    target.kill()
    target.wait()
    with pytest.raises(StepNotSent, match="is gone"):
        await send("STOP", pidfile=str(pidfile))
    with pytest.raises(StepFailed, match="is gone"):
        await Signal().probe(asked("STOP", pidfile=str(pidfile)), Platform())
    assert "is gone" in (await send("CONT", pidfile=str(pidfile)))["note"]


async def test_process_that_reuses_the_number_is_not_signalled(
    pidfile: Path, target: subprocess.Popen[bytes]
) -> None:
    os.utime(pidfile, (LONG_AGO, LONG_AGO))
    with pytest.raises(StepNotSent, match=r"its number, .*, belongs to a process that started later"):
        await send("KILL", pidfile=str(pidfile))
    assert target.poll() is None


async def test_link_out_of_the_folder_is_refused(
    folder: Path, tmp_path: Path, target: subprocess.Popen[bytes]
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "target.pid").write_text(str(target.pid))
    (folder / "link.pid").symlink_to(outside / "target.pid")
    (folder / "down").symlink_to(outside)
    with pytest.raises(StepImpossible, match="cannot be read"):
        await send("KILL", pidfile=str(folder / "link.pid"))
    with pytest.raises(StepImpossible, match="outside the allowed folders"):
        await send("KILL", pidfile=str(folder / "down" / "target.pid"))
    with pytest.raises(StepImpossible, match=r"no \*.pid file names"):
        await send("KILL", pid=target.pid)
    assert target.poll() is None


@pytest.mark.parametrize("content", ["", "0", "-1", "abc", "99999999999999", "12 34", "x" * 10_000])
async def test_invalid_pid_file_is_refused(folder: Path, content: str) -> None:
    (folder / "a.pid").write_text(content)
    with pytest.raises(StepImpossible, match="is not a pid file"):
        await send("STOP", pidfile=str(folder / "a.pid"))


async def test_named_pipe_does_not_block(folder: Path) -> None:
    os.mkfifo(folder / "a.pid")
    started = time.perf_counter()
    with pytest.raises(StepImpossible, match="is not a pid file"):
        await send("STOP", pidfile=str(folder / "a.pid"))
    assert time.perf_counter() - started < 30  # nobody ever writes to the pipe


@pytest.mark.parametrize("own", [os.getpid, os.getppid, lambda: 1])
async def test_coordinator_and_its_ancestors_are_never_signalled(folder: Path, own: Any) -> None:
    (folder / "own.pid").write_text(str(own()))
    with pytest.raises(StepImpossible, match="belongs to the coordinator"):
        await send("STOP", pidfile=str(folder / "own.pid"))


async def test_another_process_of_the_coordinator_is_never_signalled(
    folder: Path, settings: Settings
) -> None:
    waits = "import sys; sys.stdin.read()"
    words = [sys.executable, "-c", waits, "./manage.py", "watchdog"]
    with subprocess.Popen(words, cwd=settings.BASE_DIR, stdin=subprocess.PIPE) as watchdog:
        (folder / "watchdog.pid").write_text(str(watchdog.pid))
        with pytest.raises(StepImpossible, match="belongs to the coordinator"):
            await send("KILL", pidfile=str(folder / "watchdog.pid"))
        assert watchdog.stdin is not None
        watchdog.stdin.close()
        assert watchdog.wait() == 0


def test_without_allowed_folders_every_signal_is_refused_when_the_document_is_read(
    settings: Settings,
) -> None:
    settings.ALLOWED_PIDFILE_DIRS = ()
    for words in ({"pid": 5}, {"port": 80}, {"pidfile": "/run/a.pid"}):
        with pytest.raises(ValidationError, match="ALLOWED_PIDFILE_DIRS is empty"):
            asked("STOP", **words)


async def test_folders_are_checked_again_before_a_signal_is_sent(
    pidfile: Path, target: subprocess.Popen[bytes], settings: Settings
) -> None:
    saved = asked("KILL", pidfile=str(pidfile))
    for allowed in ((), (Path("/run/elsewhere"),)):
        settings.ALLOWED_PIDFILE_DIRS = allowed
        with pytest.raises(StepImpossible, match="ALLOWED_PIDFILE_DIRS"):
            await Signal().act(saved, Platform())
    assert target.poll() is None


@pytest.mark.parametrize(
    "words",
    [
        {},
        {"pid": 5, "port": 80},
        {"pid": 1},
        {"pid": -5},
        {"pidfile": "relative.pid"},
        {"pidfile": "/run/../etc/passwd"},
        {"port": 0},
        {"pid": 5, "signal": "SEGV"},
    ],
)
@pytest.mark.usefixtures("folder")
def test_invalid_arguments_are_refused(words: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SignalArguments.model_validate({"signal": "STOP", **words})


async def test_hidden_process_does_not_count_as_gone(
    target: subprocess.Popen[bytes], pidfile: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a unit with ProtectProc=invisible: CONT would count as done, and the process stay stopped."""
    monkeypatch.setattr(processes, "is_hidden", lambda _pid: True)
    for signal_name in ("STOP", "CONT"):
        with pytest.raises(StepImpossible, match="belongs to another user and is hidden"):
            await send(signal_name, pidfile=str(pidfile))
    target.kill()
    target.wait()
    assert "is gone" in (await send("CONT", pidfile=str(pidfile)))["note"]
