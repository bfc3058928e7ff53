"""Child processes: started, restarted when they die, stopped in order, none left behind."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

PR_SET_PDEATHSIG = 1
MAX_RESTART_DELAY = 30.0


@dataclass
class Child:
    """One process of the system; its output goes to a log file of its name."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 10.0
    process: subprocess.Popen[bytes] | None = None
    pids: list[int] = field(default_factory=list)
    restart_at: float = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Keeps children running. They are started in the order given and stopped in the reverse."""

    def __init__(self, children: Sequence[Child], *, logs: Path, directory: Path) -> None:
        self.children = list(children)
        self._logs = logs
        self._directory = directory
        logs.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        for child in self.children:
            self._start(child)

    def log_of(self, child: Child) -> Path:
        return self._logs / f"{child.name}.log"

    def _start(self, child: Child) -> None:
        with self.log_of(child).open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                cwd=self._directory,
                env={**os.environ, **child.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the whole foreground group: a session of its own lets the supervisor
                # stop its children in order instead.
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads here
            )
        child.pids.append(child.process.pid)

    def revive(self) -> list[Child]:
        """Start those again that ended by themselves, each time later; return those newly found dead."""
        now = time.monotonic()
        dead = [
            child for child in self.children if child.process is not None and child.process.poll() is not None
        ]
        for child in dead:
            child.process = None
            child.restart_at = now + min(MAX_RESTART_DELAY, 0.25 * 2 ** len(child.pids))
        for child in self.children:
            if child.process is None and child.restart_at <= now:
                self._start(child)
        return dead

    def stop(self) -> Iterator[Child]:
        """Stop all, the last started first; each is given out once it and all it started have ended."""
        for child in reversed(self.children):
            if child.process is not None:
                end(child.process, child.stop_seconds)
            yield child


def end(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Ask it to end, and kill what is left after so many seconds, its own children included."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # a session of its own: the group is all that it started
    process.wait()


def die_with_parent() -> None:
    """In the child: be told to end when the supervisor dies, even by kill -9."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
