"""A run of many simultaneous validations in this process, with measurements of its event loop and lease."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from django.db import connection

from scenarios.domain.outcomes import Outcome
from scenarios.engine.engine import Engine
from scenarios.models import Run
from scenarios.ports import Event
from scenarios.runs import commands as run_commands
from scenarios.runs import events as event_log
from scenarios.runs import executor
from scenarios.runs.journal import DatabaseJournal

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: many-validations}}
spec:
  timeout: 30m
  phases:
    - name: look
      validations:
{validations}
"""
VALIDATION = (
    "        - {{name: v{number}, timeout: 60s, probe: {{http: {{url: '{url}'}}}}, expect: {{status: 204}}}}"
)
TICK_SECONDS = 0.005
# Answers as many clients at once as the kernel lets in, until its standard input is closed.
SERVER = """
import asyncio, sys

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n")
    await writer.drain()
    writer.close()

async def serve():
    server = await asyncio.start_server(answer, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(serve())
"""


class Observed:
    """What is seen of a run while it is carried out.

    `longest_pause`: the longest time, in seconds, for which the event loop did not come round by its own
    doing; the time for which the kernel let other processes have the processor instead is not counted.
    """

    def __init__(self) -> None:
        self.longest_pause = 0.0
        self.told_to_end_at: float | None = None
        self.stop_asked_at: float | None = None

    @property
    def stop_heard_after(self) -> float:
        assert self.stop_asked_at is not None
        assert self.told_to_end_at is not None
        return self.told_to_end_at - self.stop_asked_at

    async def watch_the_loop(self) -> None:
        while True:
            # The clock is read between the waits: what keeps this from running in between is in both.
            waited, begun = read_waits(), time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            took, waits = time.monotonic() - begun, read_waits()
            others = sum(waits[thread] - waited.get(thread, 0) for thread in waits) / 1e9
            self.longest_pause = max(self.longest_pause, took - TICK_SECONDS - others)

    def ask_for_a_stop(self, run: Run) -> None:
        run_commands.request_stop(run, by="ann")
        self.stop_asked_at = time.monotonic()
        connection.close()


def read_waits() -> dict[str, int]:
    """How long each thread has waited for a processor, in nanoseconds.

    All threads count: one may hold the interpreter's lock while it waits, so that the loop waits for it.
    """
    found = {}
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended just now
            found[thread.name] = int((thread / "schedstat").read_text().split()[1])
    return found


@contextmanager
def server() -> Iterator[str]:
    """The address of an HTTP server in a process of its own."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@contextmanager
def slow_journal(seconds_per_event: float) -> Iterator[None]:
    """Make each event take this long to write, in the transaction in which it is written."""
    write = event_log.write_events

    def write_slowly(run: Run, events: Sequence[Event]) -> None:
        time.sleep(seconds_per_event * len(events))
        write(run, events)

    with patch("scenarios.runs.leases.write_events", write_slowly):
        yield


@contextmanager
def observing() -> Iterator[Observed]:
    """Observe the run that is carried out meanwhile."""
    observed = Observed()
    keep = executor.keep_lease

    async def keep_and_watch(engine: Engine, journal: DatabaseJournal) -> None:
        end = engine.end

        def note_and_end(outcome: Outcome, reason: str) -> None:
            observed.told_to_end_at = observed.told_to_end_at or time.monotonic()
            end(outcome, reason)

        engine.end = note_and_end  # type: ignore[method-assign]
        await asyncio.gather(keep(engine, journal), observed.watch_the_loop())

    executor.keep_lease = keep_and_watch
    try:
        yield observed
    finally:
        executor.keep_lease = keep


def carry_out(count: int, url: str, *, stop_after: float | None = None) -> tuple[Run, Observed]:
    """Carry out a run with this many validations; request its stop this many seconds after its start."""
    validations = "\n".join(VALIDATION.format(number=number, url=url) for number in range(count))
    run = run_commands.start_run(DOCUMENT.format(validations=validations), {}, origin="cli")
    with observing() as observed:
        stop: Any = None
        if stop_after is not None:
            stop = threading.Timer(stop_after, observed.ask_for_a_stop, [run])
            stop.start()
        ended = executor.carry_out(str(run.id), run.attempt)
        if stop is not None:
            stop.join()
    assert ended is not None, "it was taken over"
    return ended, observed
