"""Runs a program for a step, without secrets in its environment, and ends all processes that it has started.

If these processes should stay, the keeper is told so once the program has ended with an accepted exit code.
"""

import asyncio
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import StepFailed, StepNotSent
from scenarios.drivers import processes
from scenarios.drivers.child.keeper import KEEP

MAX_OUTPUT = 64 * 1024
# The variables of the coordinator's environment that a program gets.
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# How long to wait for the output to end: another process may keep the pipes open.
_DRAIN_SECONDS = 0.5
# How long the kernel may take to end killed programs, unless one hangs on a dead disk.
_END_SECONDS = 2.0
_KEEPER = str(Path(__file__).with_name("keeper.py"))


@dataclass(frozen=True, slots=True)
class Ended:
    """How the program ended; a negative exit code is the number of the signal that killed it."""

    exit_code: int
    stdout: str
    stderr: str
    elapsed: float
    notes: tuple[str, ...] = ()


def scrubbed_environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": DEFAULT_PATH, **kept}


async def run_child(
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    directory: str = "/",
    stdin: str = "",
    seconds: float | None = None,
    keeps_running_after: Collection[int] = (),
) -> Ended:
    """Run the program at `command[0]`, an absolute path, until it ends.

    When this call ends (with a result, at the time limit or by cancellation), all processes that the program
    has started end too, whatever their session. The death of this process also ends them. With
    `keeps_running_after`, they stay after one of these exit codes; then the program has no output.

    Raises:
        StepNotSent: the program cannot be started.
        StepFailed: the program was still running when the time was up.
    """
    started = time.perf_counter()
    with ExitStack() as stack:
        variables = {**scrubbed_environment(), **(environment or {})}
        child = _Child(
            stack,
            command,
            environment=variables,
            directory=directory,
            stdin=stdin,
            keeps_running_after=keeps_running_after,
        )
        try:
            async with asyncio.timeout(seconds):
                exit_code = await child.end()
        except TimeoutError as error:
            limit = format_duration(seconds or 0.0)
            raise StepFailed(
                f"{command[0]!r} was still running after {limit}; it was killed with all its processes"
            ) from error
    out, err = child.outputs
    notes = (*out.notes("stdout"), *err.notes("stderr"))
    return Ended(exit_code, out.text, err.text, time.perf_counter() - started, notes)


def _open_in_memory(stdin: str) -> IO[bytes]:
    """A file in memory only, because the input may contain secrets."""
    file = os.fdopen(os.memfd_create("stdin"), "w+b")
    file.write(stdin.encode("utf-8", "replace"))
    file.seek(0)
    return file


class _Output(asyncio.Protocol):
    """Keeps the beginning of the output of a pipe, and counts the rest."""

    def __init__(self) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._kept = bytearray()
        self._size = 0

    def data_received(self, data: bytes) -> None:
        self._size += len(data)
        self._kept += data[: max(0, MAX_OUTPUT - len(self._kept))]

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    @property
    def text(self) -> str:
        return self._kept.decode("utf-8", "replace")

    def notes(self, name: str) -> tuple[str, ...]:
        left_out = self._size - len(self._kept)
        return (f"{left_out} more bytes of {name} were cut",) if left_out else ()


class _Child:
    def __init__(
        self,
        stack: ExitStack,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        directory: str,
        stdin: str,
        keeps_running_after: Collection[int],
    ) -> None:
        self._stack = stack
        self._keeps_running_after = keeps_running_after
        self._name = command[0]
        self._socket, keepers_end = socket.socketpair()
        stack.callback(self._socket.close)
        self._socket.setblocking(False)
        what = "keep" if keeps_running_after else "end"
        with keepers_end, _open_in_memory(stdin) as given:
            try:
                # Not asyncio's own, because nothing may be awaited between starting it and registering its
                # end.
                self._keeper = subprocess.Popen(
                    [sys.executable, "-I", "-S", _KEEPER, str(keepers_end.fileno()), what, *command],
                    stdin=given,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment,
                    cwd=directory,
                    start_new_session=True,
                    pass_fds=[keepers_end.fileno()],
                )
            except OSError as error:
                raise StepNotSent(
                    f"{command[0]!r} cannot be run in {directory!r}: {error.strerror}"
                ) from error
        stack.callback(self._kill)
        self.outputs = (_Output(), _Output())

    def _kill(self) -> None:
        # When the socket is closed, the keeper ends the command's processes and itself.
        self._socket.close()
        ended = select.poll()
        with processes.open_process(self._keeper.pid) as keeper:
            ended.register(keeper, select.POLLIN)
            ended.poll(_END_SECONDS * 1000)
        # In case the keeper was killed or hangs. It has not been waited for, so its number and its group's
        # have not been reused.
        with suppress(ProcessLookupError):
            os.killpg(self._keeper.pid, signal.SIGKILL)
        self._keeper.wait()
        for pipe in (self._keeper.stdout, self._keeper.stderr):
            if pipe is not None:
                pipe.close()

    async def end(self) -> int:
        loop = asyncio.get_running_loop()
        for output, pipe in zip(self.outputs, (self._keeper.stdout, self._keeper.stderr), strict=True):
            transport, _ = await loop.connect_read_pipe(lambda output=output: output, pipe)  # type: ignore[misc]
            self._stack.callback(transport.close)
        word, _, number = (await loop.sock_recv(self._socket, 64)).decode().partition(" ")
        if word == "unstarted":
            raise StepNotSent(f"{self._name!r} cannot be run: {os.strerror(int(number))}")
        if word != "ended":
            raise StepFailed(f"{self._name!r} killed the process that supervises it")
        if int(number) in self._keeps_running_after:
            await loop.sock_sendall(self._socket, KEEP)
        await asyncio.wait([output.ended for output in self.outputs], timeout=_DRAIN_SECONDS)
        return int(number)
