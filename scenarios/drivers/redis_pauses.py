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
_HOLDER = re.compile(rf" name={APPLICATION}:(\S+) .*?\bidle=(\d+) ")
# What a pause of writes stops, although it changes nothing; the second one where a cluster has no such key.
_STOPPED = (("PFCOUNT", f"{APPLICATION}:none"), ("EVAL", "return 0", "0"))


@dataclass(slots=True)
class Lease:
    """Until when this process may prolong its pause, by `time.monotonic`; `name` is that of the server."""

    name: str
    until: float

    @property
    def left(self) -> float:
        return self.until - time.monotonic()

    def require(self) -> None:
        """Check it in the very step that sends a pause: another process may have removed the fault by then.

        Raises:
            FaultGone: it is over.
        """
        if self.left <= 0:
            raise FaultGone(f"{self.name} is not paused again: the lease of the pause is over")


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

    async def fill(self, new: Lease, lease: Lease) -> None:
        """Send as many as fit into the new lease, beside the one that lasts."""
        lease.require()
        while self.sent - self.begun < self._count_wanted(new):
            lease.require()
            if not self.connection.is_connected:  # redis-py would connect again
                raise FaultGone(f"{lease.name} closed the connection that holds the pause")
            self.sent += 1
            await self.connection.send_command("CLIENT", "PAUSE", to_milliseconds(self.slice_seconds), "ALL")

    def _count_wanted(self, lease: Lease) -> int:
        return max(1, math.floor(lease.left / (self.slice_seconds + _SLACK_SECONDS)) - 1)

    async def read(self) -> None:
        while True:
            await self.connection.read_response()
            self.begun += 1


@dataclass(slots=True)
class Held:
    """`row` of a pause of everything; `loop` is the one that the connection belongs to."""

    connection: "Connection"
    report: Mapping[str, Any]
    lease: Lease
    row: Row | None = None
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)


def name_client(fault: FaultCall) -> str:
    """The name of the fault's connection, by which other processes see that it is held."""
    plain = _PLAIN_ID.fullmatch(fault.id)
    return f"{APPLICATION}:{fault.id if plain else hashlib.sha256(fault.id.encode()).hexdigest()}"


async def pause(access: Access, mode: str, fault: FaultCall) -> Held:
    """Pause the server for a lease.

    Raises:
        StepNotDone: it is paused already, or too old, or its answers took longer than the lease.
    """
    lease = Lease(access.name, time.monotonic() + fault.lease)
    if await is_paused(access, WRITES, patience=INJECT_LOOK_SECONDS):
        raise StepNotDone(f"{access.name} is paused already, and a server has only one pause")
    connection = await _connect_by_name(access, fault)
    try:
        row = None
        if mode == WRITES:
            await _pause_writes(access, connection, lease, lease)
        else:
            row = await _begin_row(access, connection, fault.lease, lease)
    except BaseException:
        await close(connection)
        raise
    return Held(connection, {"pause": mode}, lease, row)


async def prolong(access: Access, mode: str, fault: FaultCall, held: Held | None) -> None:
    """Keep the pause for another lease from now.

    Raises:
        FaultGone: it has ended, or its lease is over.
    """
    new = Lease(access.name, time.monotonic() + fault.lease)
    if mode != WRITES:
        if held is None or held.row is None or held.row.has_ended:
            raise FaultGone(f"{access.name} is not paused any more: it was restarted, or the lease is over")
        await _prolong_row(access, held.row, new, held.lease)
    else:
        if not await is_paused(access, WRITES):
            raise FaultGone(
                f"{access.name} is not paused any more: it was restarted, or somebody ended the pause"
            )
        if held is None:
            raise FaultGone(f"no connection of this process holds the pause of {access.name}")
        await _prolong_writes(access, fault, held, new)
    held.lease.until = new.until


async def _prolong_row(access: Access, row: Row, new: Lease, lease: Lease) -> None:
    try:
        await explained(row.fill(new, lease), access.name)
    except FaultGone:
        raise
    except StepFailed as error:
        raise FaultGone(f"{access.name} is not paused any more: {error}") from error


async def _prolong_writes(access: Access, fault: FaultCall, held: Held, new: Lease) -> None:
    if held.connection.is_connected:
        try:
            await _pause_writes(access, held.connection, new, held.lease)
        except FaultGone:
            raise
        except StepFailed:
            await close(held.connection)
        else:
            return
    connection = await _connect_by_name(access, fault)
    try:
        await _pause_writes(access, connection, new, held.lease)
    except BaseException:
        await close(connection)
        raise
    held.connection = connection


async def end(access: Access, mode: str, fault: FaultCall, held: Held | None) -> bool:
    """End the pause, and wait until the server answers again. False if it was not paused by this fault.

    Raises:
        StepFailed: it is still paused.
    """
    is_own = held is not None and time.monotonic() < held.lease.until
    if held is not None:
        held.lease.until = -math.inf  # a renewal that is under way sends nothing more
        await let_go(held)
    if mode == WRITES:
        return await _end_writes(access, fault, is_own=is_own)
    if not await is_held(access, mode, fault):
        return held is not None and held.row is not None
    try:
        async with asyncio.timeout(access.seconds):
            while True:
                await asyncio.sleep(_WAIT_SECONDS)
                if not await is_paused(access, mode):
                    return True
    except TimeoutError as error:
        raise StepFailed(f"{access.name} is paused until the lease of its pause ends") from error


async def _end_writes(access: Access, fault: FaultCall, *, is_own: bool) -> bool:
    was_paused = await is_paused(access, WRITES) if is_own else await is_held(access, WRITES, fault)
    if is_own or was_paused:
        async with connected(access) as connection:
            await ask(access, connection, "CLIENT", "UNPAUSE")
    return was_paused


async def is_held(access: Access, mode: str, fault: FaultCall) -> bool:
    """Whether the server is paused, and no other fault is known to hold the pause.

    A connection that has been idle for longer than a lease holds nothing, although it has not been closed.
    """
    if not await is_paused(access, mode):
        return False
    if mode != WRITES:
        return True  # it answers nothing, so that there is nobody to ask
    async with connected(access, reads=True) as connection:
        listed = await ask(access, connection, "CLIENT", "LIST")
    found = _HOLDER.findall(listed.decode(errors="replace"))
    names = {f"{APPLICATION}:{name}" for name, idle in found if int(idle) <= fault.lease}
    return not names - {name_client(fault)}


async def _connect_by_name(access: Access, fault: FaultCall) -> "Connection":
    connection = await connect(access)
    try:
        await ask(access, connection, "CLIENT", "SETNAME", name_client(fault))
    except BaseException:
        await close(connection)
        raise
    return connection


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


async def _pause_writes(access: Access, connection: "Connection", new: Lease, lease: Lease) -> None:
    """Pause them for what is left of the new lease, if the present one goes on."""
    lease.require()
    try:
        await ask(access, connection, "CLIENT", "PAUSE", to_milliseconds(new.left), "WRITE")
    except StepNotDone as error:
        raise _explain_too_old(access, error) from error


async def _begin_row(access: Access, connection: "Connection", seconds: float, lease: Lease) -> Row:
    row = Row(connection, min(MAX_SLICE_SECONDS, seconds / 4))
    row.sent = 1
    lease.require()
    try:
        await ask(access, connection, "CLIENT", "PAUSE", to_milliseconds(row.slice_seconds), "ALL")
    except StepNotDone as error:
        raise _explain_too_old(access, error) from error
    row.begun = 1
    row.reader = asyncio.create_task(row.read())
    row.reader.add_done_callback(_take_error)
    await explained(row.fill(lease, lease), access.name)
    return row


def _take_error(reader: "asyncio.Task[None]") -> None:
    """`has_ended` says it all: asyncio need not log how the connection ended."""
    if not reader.cancelled():
        reader.exception()


def _explain_too_old(access: Access, error: StepNotDone) -> StepNotDone:
    if "wrong number of arguments" in str(error):
        return StepNotDone(f"{access.name} is too old: a pause that can be ended needs Redis 6.2 or later")
    return error
