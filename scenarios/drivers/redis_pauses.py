"""Pauses of a Redis server, which it ends by itself. https://redis.io/docs/latest/commands/client-pause/

A pause of writes leaves CLIENT commands alone: another CLIENT PAUSE prolongs it, and CLIENT UNPAUSE ends it.

A pause of everything stops CLIENT commands too, so nobody can end it before its time. It is therefore a row
of short pauses that were all sent beforehand on one connection, enough of them for a lease. At the end of
each, Redis carries out the next one before any other command, because its client has waited longest. Once the
connection is closed, Redis forgets the rest.
"""

import asyncio
import hashlib
import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from scenarios.domain.errors import FaultGone, StepFailed, StepNotDone
from scenarios.drivers.redis_connections import Access, NoAnswer, ask, close, connect, connected, explained
from scenarios.drivers.servers import to_milliseconds
from scenarios.ports import FaultCall

if TYPE_CHECKING:
    from redis.asyncio import Connection

APPLICATION = "test-coordinator"
WRITES = "writes"
# A server that is not paused answers much sooner; one that is slower counts as paused.
LOOK_SECONDS = 1.0
# Before a pause is refused, a slow server gets more time.
INJECT_LOOK_SECONDS = 30.0
_SLOWER = 10
MAX_SLICE_SECONDS = 1.0
# How late Redis may notice the end of a pause: it looks 10 times per second, by default.
_SLACK_SECONDS = 0.1
_WAIT_SECONDS = 0.05
_PLAIN_ID = re.compile(r"[\w.-]{1,64}", re.ASCII)
_NAMES = re.compile(rf" name={APPLICATION}:(\S+) ")
# What a pause of writes stops, although it changes nothing; the second one where a cluster has no such key.
_STOPPED = (("PFCOUNT", f"{APPLICATION}:none"), ("EVAL", "return 0", "0"))


@dataclass(slots=True)
class Row:
    """Short pauses that were sent, and how many of them have begun."""

    connection: "Connection"
    slice_seconds: float
    sent: int = 0
    begun: int = 0
    reader: "asyncio.Task[None] | None" = None

    @property
    def has_ended(self) -> bool:
        return self.reader is None or self.reader.done() or self.begun == self.sent

    async def fill(self, lease: float) -> None:
        """Send as many as fit into a lease from now, beside the one that lasts."""
        wanted = max(1, math.floor(lease / (self.slice_seconds + _SLACK_SECONDS)) - 1)
        while self.sent - self.begun < wanted:
            self.sent += 1
            await self.connection.send_command("CLIENT", "PAUSE", to_milliseconds(self.slice_seconds), "ALL")

    async def read(self) -> None:
        while True:
            await self.connection.read_response()
            self.begun += 1


@dataclass(slots=True)
class Held:
    """`row` of a pause of everything; `loop` is the one that the connection belongs to."""

    connection: "Connection"
    report: Mapping[str, Any]
    row: Row | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


def name_client(fault: FaultCall) -> str:
    """The name of the fault's connection, by which other processes see that it is held."""
    plain = _PLAIN_ID.fullmatch(fault.id)
    return f"{APPLICATION}:{fault.id if plain else hashlib.sha256(fault.id.encode()).hexdigest()}"


async def pause(access: Access, mode: str, fault: FaultCall) -> Held:
    """Pause the server for a lease.

    Raises:
        StepNotDone: it is paused already, or too old.
    """
    if await is_paused(access, WRITES, patience=INJECT_LOOK_SECONDS):
        raise StepNotDone(f"{access.name} is paused already, and a server has only one pause")
    connection = await connect(access)
    try:
        await ask(access, connection, "CLIENT", "SETNAME", name_client(fault))
        row = None
        if mode == WRITES:
            await _pause_writes(access, connection, fault.lease)
        else:
            row = await _begin_row(access, connection, fault.lease)
    except BaseException:
        await close(connection)
        raise
    return Held(connection, {"pause": mode}, row)


async def prolong(access: Access, mode: str, fault: FaultCall, held: Held | None) -> Held:
    """Keep the pause for another lease from now. Returns how it is held from then on.

    Raises:
        FaultGone: it has ended.
    """
    if mode != WRITES:
        if held is None or held.row is None or held.row.has_ended:
            raise FaultGone(f"{access.name} is not paused any more: it was restarted, or the lease is over")
        await explained(held.row.fill(fault.lease), access.name)
        return held
    if not await is_paused(access, WRITES):
        raise FaultGone(
            f"{access.name} is not paused any more: it was restarted, or somebody ended the pause"
        )
    if held is not None:
        try:
            await _pause_writes(access, held.connection, fault.lease)
        except StepFailed:
            await close(held.connection)
        else:
            return held
    connection = await connect(access)
    await _pause_writes(access, connection, fault.lease)
    return Held(connection, {"pause": WRITES})


async def end(access: Access, mode: str, fault: FaultCall, held: Held | None) -> bool:
    """End the pause, and wait until the server answers again. False if it was not paused by this fault.

    Raises:
        StepFailed: it is still paused.
    """
    if held is not None:
        await let_go(held)
    if not await is_held(access, mode, fault):
        return held is not None and held.row is not None
    if mode == WRITES:
        async with connected(access) as connection:
            await ask(access, connection, "CLIENT", "UNPAUSE")
        return True
    try:
        async with asyncio.timeout(access.seconds):
            while True:
                await asyncio.sleep(_WAIT_SECONDS)
                if not await is_paused(access, mode):
                    return True
    except TimeoutError as error:
        raise StepFailed(f"{access.name} is paused until the lease of its pause ends") from error


async def is_held(access: Access, mode: str, fault: FaultCall) -> bool:
    """Whether the server is paused, and no other fault is known to hold the pause."""
    if not await is_paused(access, mode):
        return False
    if mode != WRITES:
        return True  # it answers nothing, so that there is nobody to ask
    async with connected(access, reads=True) as connection:
        listed = await ask(access, connection, "CLIENT", "LIST")
    names = {f"{APPLICATION}:{name}" for name in _NAMES.findall(listed.decode(errors="replace"))}
    return not names - {name_client(fault)}


async def let_go(held: Held) -> None:
    """Close the connection; what Redis has not carried out of it, it forgets."""
    if held.loop is not asyncio.get_running_loop():
        return  # its loop has ended, and closes it
    if held.row is not None and held.row.reader is not None:
        held.row.reader.cancel()
        await asyncio.wait({held.row.reader})
    await close(held.connection)


async def is_paused(access: Access, mode: str, *, patience: float = LOOK_SECONDS) -> bool:
    """Whether the server, or with `writes` what may change it, gives no answer. Redis has no way to ask.

    Raises:
        StepNotSent: there is no connection.
        StepNotDone: the user may not do what would show it.
    """
    patient = replace(access, seconds=min(patience, access.seconds))
    started = time.perf_counter()
    try:
        async with connected(patient, reads=True) as connection:
            await ask(patient, connection, "PING")
            usual = time.perf_counter() - started
            if mode != WRITES:
                return False
            slow = replace(access, seconds=max(patient.seconds, usual * _SLOWER))
            return await _stops_writes(slow, connection)
    except NoAnswer:
        return True


async def _stops_writes(access: Access, connection: "Connection") -> bool:
    for words in _STOPPED:
        try:
            await ask(access, connection, *words)
        except NoAnswer:
            return True
        except StepNotDone as error:
            refusal = error
        else:
            return False
    raise refusal


async def _pause_writes(access: Access, connection: "Connection", lease: float) -> None:
    try:
        await ask(access, connection, "CLIENT", "PAUSE", to_milliseconds(lease), "WRITE")
    except StepNotDone as error:
        raise _explain_too_old(access, error) from error


async def _begin_row(access: Access, connection: "Connection", lease: float) -> Row:
    row = Row(connection, min(MAX_SLICE_SECONDS, lease / 4))
    row.sent = 1
    try:
        await ask(access, connection, "CLIENT", "PAUSE", to_milliseconds(row.slice_seconds), "ALL")
    except StepNotDone as error:
        raise _explain_too_old(access, error) from error
    row.begun = 1
    row.reader = asyncio.create_task(row.read())
    await explained(row.fill(lease), access.name)
    return row


def _explain_too_old(access: Access, error: StepNotDone) -> StepNotDone:
    if "wrong number of arguments" in str(error):
        return StepNotDone(f"{access.name} is too old: a pause that can be ended needs Redis 6.2 or later")
    return error
