"""The process that sends a load: `python -m scenarios.load.sender`, started by load/process.py.

Open loop: request k is due `k / rate` seconds after the start, whatever became of the earlier ones, and its
latency counts from then. A request that waits because the sender or the target is busy is thus not hidden
(https://www.scylladb.com/2021/04/22/on-coordinated-omission/).

Orders arrive on the standard input, one JSON object a line: what to send first, then a line each second,
with the number of the phase that goes on. What was measured leaves on the standard output in the same way.
It ends when its input ends, as with the death of the process that started it, or is silent for too long.
"""

import asyncio
import gc
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, Protocol

from scenarios.load.http_sender import HttpSender
from scenarios.load.pace import Pace

FLUSH_SECONDS = 0.25
_MAX_ORDER_BYTES = 64 * 1024 * 1024


class Sender(Protocol):
    pace: Pace

    def begin(self) -> None: ...


async def _open_pipes() -> tuple[asyncio.StreamReader, asyncio.WriteTransport]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_MAX_ORDER_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, sys.stdout)
    return reader, transport


async def _send_until_silence() -> None:
    """Returns when the process that started this one has ended, or says nothing for too long."""
    reader, out = await _open_pipes()
    order = json.loads(await reader.readline())
    sender = _build_sender(order)
    # Otherwise a collection would look through all modules, and stop this process for milliseconds.
    gc.collect()
    gc.freeze()
    _write(out, sender)  # it is ready
    is_begun = False
    while line := await _read_in_time(reader, order["silence"]):
        sender.pace.enter_phase(json.loads(line)["phase"])
        if not is_begun:
            is_begun = True
            sender.begin()
            asyncio.get_running_loop().call_later(FLUSH_SECONDS, _report, out, sender)
        _write(out, sender)


def _build_sender(order: Mapping[str, Any]) -> Sender:
    if "driver" not in order["request"]:
        return HttpSender(order)
    # Imports Django's settings, which a load of HTTP does not need.
    from scenarios.load.probe_sender import ProbeSender  # noqa: PLC0415

    return ProbeSender(order)


async def _read_in_time(reader: asyncio.StreamReader, seconds: float) -> bytes:
    try:
        async with asyncio.timeout(seconds):
            return await reader.readline()
    except TimeoutError:
        return b""


def _report(out: asyncio.WriteTransport, sender: Sender) -> None:
    _write(out, sender)
    asyncio.get_running_loop().call_later(FLUSH_SECONDS, _report, out, sender)


def _write(out: asyncio.WriteTransport, sender: Sender) -> None:
    out.write(json.dumps(sender.pace.collect()).encode() + b"\n")


async def _send_and_exit() -> None:
    await _send_until_silence()
    os._exit(0)  # without waiting for what is on its way: connections are cut


if __name__ == "__main__":
    asyncio.run(_send_and_exit())
