"""Child processes: started in order, restarted when they die, stopped at once, in two groups."""

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
    """One process of the system; its output goes to a log file with its name.

    `needs_others`: it may need the others in order to end, as a worker does that undoes its faults.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    stop_seconds: float = 10.0
    needs_others: bool = False
    process: subprocess.Popen[bytes] | None = None
    pids: list[int] = field(default_factory=list)
    restart_at: float = 0.0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None


class Supervisor:
    """Keeps child processes running."""

    def __init__(self, children: Sequence[Child], *, logs: Path, directory: Path) -> None:
        self.children = list(children)
        self._logs = logs
        self._directory = directory
        logs.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        for child in self.children:
            self._start(child)

    def get_log(self, child: Child) -> Path:
        return self._logs / f"{child.name}.log"

    def _start(self, child: Child) -> None:
        with self.get_log(child).open("ab") as log:
            child.process = subprocess.Popen(
                child.command,
                cwd=self._directory,
                env={**os.environ, **child.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches the whole foreground process group. In a new session, children do not get it,
                # so that the supervisor can stop them in order.
                start_new_session=True,
                preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - no threads here
            )
        child.pids.append(child.process.pid)

    def revive(self) -> list[Child]:
        """Restart children that died, with growing delays; return those that died since the last call."""
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
        """Stop those that need the others, and then the others, because one after another takes long.

        Yields each child once it and its own children have ended.
        """
        for needs_others in (True, False):
            group = [child for child in reversed(self.children) if child.needs_others is needs_others]
            for child in group:
                if child.running and child.process is not None:
                    child.process.send_signal(signal.SIGTERM)
            signalled_at = time.monotonic()
            for child in group:
                if child.process is not None:
                    wait_or_kill(child.process, signalled_at + child.stop_seconds - time.monotonic())
                yield child


def wait_or_kill(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait for so many seconds, then kill what is left, its own children included."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, seconds))
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # the process group holds everything that it started
    process.wait()


def die_with_parent() -> None:
    """Called in the child: end when the supervisor dies, even by kill -9."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
