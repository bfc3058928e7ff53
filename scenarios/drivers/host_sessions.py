"""Processes of the host program that answer one request after another, each over a connection that is kept.

A new process for each call costs the host a shell, a start of Python and its imports, which is most of the
time of a call.
"""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncssh

from injector.host.bundle import READER, build_served
from scenarios.drivers.host_program import MAX_ANSWER

# A program of an earlier version never says that it serves: calls wait for it this long, once.
START_SECONDS = 2.0
# After so long, it does not serve.
MAX_START_SECONDS = 20.0
# How long a call waits for those before it.
TURN_SECONDS = 2.5
# After this, a host that did not serve is asked again, because another version may be installed.
REFUSED_SECONDS = 600.0
# The word of a command that makes Python read its program from standard input.
_STANDARD_INPUT = re.compile(r"(?<=\s)-(?=\s|$)")
# Rules may allow only the very command that the settings name, and what they refuse is reported to people.
_CHANGES_USER = re.compile(r"(?<![\w-])(?:sudo|doas|su|runuser|pkexec)(?![\w-])")

_refused: dict[Hashable, float] = {}


class NotServedError(ConnectionError):
    """No process takes requests, although the connection may be alive."""


class Session:
    """A process that answers requests, one at a time."""

    def __init__(self, process: asyncssh.SSHClientProcess[bytes]) -> None:
        self._process = process
        self._unread = b""

    async def ask(self, line: str) -> bytes:
        """Send a request, and return the line of the answer.

        Raises:
            NotServedError: it has ended.
            OSError, asyncssh.Error: the connection is broken, or it answers too much.
        """
        try:
            self._process.stdin.write(f"{line}\n".encode())
        except BrokenPipeError as error:
            raise NotServedError("the host program has ended") from error
        return await self.read_line()

    async def read_line(self) -> bytes:
        """As `ask`, without a request."""
        found = self._unread
        while b"\n" not in found:
            if len(found) > MAX_ANSWER:
                raise ConnectionError(f"it answered more than {MAX_ANSWER} bytes: {found[:40]!r} …")
            data = await self._process.stdout.read(65536)
            if not data:
                raise NotServedError("the host program has ended")
            found += data
        line, _, self._unread = found.partition(b"\n")
        return line

    def close(self) -> None:
        self._process.close()


class KeptSession:
    """The session of a connection: started when a call needs it, and again if it has ended.

    `is_broken`: the connection is dead, or must not be used for another reason.
    """

    def __init__(self, connection: asyncssh.SSHClientConnection, key: Hashable) -> None:
        self.is_broken = False
        self._connection = connection
        self._key = key
        self._turn = asyncio.Lock()
        self._session: Session | None = None
        self._starting: asyncio.Task[Session] | None = None
        self._patience = START_SECONDS

    def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()

    def note_answer(self) -> None:
        """A process for one call has answered: one that began before it and says nothing does not serve."""
        if self._starting is not None and not self._starting.done():
            self._starting.cancel()
            self._starting = None
            self._refuse()

    def _refuse(self) -> None:
        _refused[self._key] = time.monotonic() + REFUSED_SECONDS

    @asynccontextmanager
    async def take(self, command: str, seconds: float) -> AsyncIterator[Session | None]:
        """The session for one call; None without a session. A dead connection is noticed in these seconds."""
        try:
            async with asyncio.timeout(TURN_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            yield None
            return
        try:
            yield await self._find(command, seconds)
        except BaseException:
            # Its answer may still arrive, and would be taken for that to the next request.
            self.is_broken = True
            if self._session is not None:
                self._session.close()
            raise
        finally:
            self._turn.release()

    async def _find(self, command: str, seconds: float) -> Session | None:
        try:
            if self._session is not None:
                with suppress(NotServedError):
                    async with asyncio.timeout(seconds):
                        await self._session.ask("")
                    return self._session
                self._session = None
            self._session = await self._start(command, seconds)
        except NotServedError:
            if not self._connection.is_closed():
                self._refuse()
        except (TimeoutError, OSError, asyncssh.Error):
            self.is_broken = True
            self._session = None
        return self._session

    async def _start(self, command: str, seconds: float) -> Session | None:
        """Start one, and wait a little; None where it does not yet say that it serves."""
        if time.monotonic() < _refused.get(self._key, 0.0):
            return None
        if self._starting is None:
            self._starting = asyncio.create_task(_start_session(self._connection, command, seconds))
            self._starting.add_done_callback(_retrieve_error)
        await asyncio.wait({self._starting}, timeout=self._patience)
        if not self._starting.done():
            self._patience = 0.0
            return None
        started, self._starting = self._starting, None
        return started.result()


def _retrieve_error(started: asyncio.Task[Session]) -> None:
    """Nobody may wait for it any more."""
    if not started.cancelled():
        started.exception()


async def _start_session(connection: asyncssh.SSHClientConnection, command: str, seconds: float) -> Session:
    """Raises NotServedError: the command does not say that it serves."""
    async with asyncio.timeout(seconds):
        process = await connection.create_process(command, encoding=None, stderr=asyncssh.DEVNULL)
    session = Session(process)
    process.stdin.write(build_served())
    try:
        async with asyncio.timeout(MAX_START_SECONDS):
            while not _is_greeting(await session.read_line()):
                pass  # what the shell's own files print
    except BaseException as error:
        session.close()
        if isinstance(error, TimeoutError):
            raise NotServedError("the host program does not serve") from error
        raise
    return session


def _is_greeting(line: bytes) -> bool:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and "serves" in found


def build_serving_command(command: str) -> str:
    """The command, with a Python that serves; '' where there is no such command."""
    if _CHANGES_USER.search(command) or not _STANDARD_INPUT.search(command):
        return ""
    return _STANDARD_INPUT.sub(lambda _: f"-IS -c '{READER}'", command, count=1)
