"""Events stored per second: `python benchmarks/durable_events.py`; exits with 1 if a goal is missed.

On a temporary SQLite file: one writer whose events come one after the other (goal: 300 per second), one whose
events come in bursts and share transactions (goal: 2,000), then four writing processes at once (goal: no
`database is locked`). With DATABASE_URL, on that database instead, which must be empty.

It also prints what limits the first figure: how many pages per second can be written to the same disk with
fsync, the processor time of an event, and how many connections were opened. SQLite does not wait for the disk
at each event, so the processor is the limit; on a busy machine, only the processor time is meaningful.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "coordinator_site.settings"

from benchmarks.goals import Goals
from scenarios.domain.event_kinds import EventKind

EVENTS = 1000
FSYNCS = 200
WRITERS = 4
GOAL_PER_SECOND = 300.0
AT_ONCE = 500
GOAL_AT_ONCE = 2000.0
# One for the events, and one more for each minute that they take on a busy machine.
CONNECTIONS_GOAL = 4
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: benchmark}
spec: {phases: [{name: p, hold: 1s}]}
"""


@dataclass
class Written:
    """The wall time and the processor time of a number of events, and the errors that occurred."""

    events: int
    seconds: float = 0.0
    processor_seconds: float = 0.0
    connections: int = 0
    errors: list[str] = field(default_factory=list)


def write_events(count: int) -> Written:
    """Write this many events of one run, one after the other."""
    import django  # noqa: PLC0415 - each process sets itself up

    django.setup()
    from django.db import OperationalError  # noqa: PLC0415
    from django.db.backends.signals import connection_created  # noqa: PLC0415

    from scenarios.engine.clock import SystemClock  # noqa: PLC0415
    from scenarios.ports import Event  # noqa: PLC0415
    from scenarios.runs import commands as run_commands  # noqa: PLC0415
    from scenarios.runs import leases  # noqa: PLC0415
    from scenarios.runs.executor import build_journal  # noqa: PLC0415

    written = Written(count)

    def note_connection(**_named: object) -> None:
        written.connections += 1

    def append_noting_errors(claim: leases.Claim, event: Event) -> None:
        try:
            leases.append_event(claim, event)
        except OperationalError as error:
            written.errors.append(str(error))
            raise

    async def record(claim: leases.Claim) -> None:
        journal = build_journal(run, claim)
        started, processor = time.perf_counter(), time.process_time()
        for number in range(count):
            event = Event(EventKind.ACTION_FINISHED, SystemClock().now(), "p", f"a{number}", {"status": 200})
            await journal.write(append_noting_errors, claim, event)
        written.seconds = time.perf_counter() - started
        written.processor_seconds = time.process_time() - processor

    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker=f"benchmark:{os.getpid()}")
    assert claim is not None
    connection_created.connect(note_connection)
    asyncio.run(record(claim))
    return written


def count_fsyncs(folder: Path, count: int) -> float:
    """How many pages per second are on this disk, each by an fsync of its own."""
    with (folder / "pages").open("wb", buffering=0) as file:
        started = time.perf_counter()
        for _ in range(count):
            file.write(bytes(4096))
            os.fsync(file.fileno())
        return count / (time.perf_counter() - started)


def write_bursts(count: int) -> float:
    """Seconds for this many events of one run, of which AT_ONCE wait together to be durable."""
    import django  # noqa: PLC0415 - each process sets itself up

    django.setup()
    from scenarios.engine.clock import SystemClock  # noqa: PLC0415
    from scenarios.models import Event as EventRow  # noqa: PLC0415
    from scenarios.ports import Event  # noqa: PLC0415
    from scenarios.runs import commands as run_commands  # noqa: PLC0415
    from scenarios.runs import leases  # noqa: PLC0415
    from scenarios.runs.executor import build_journal  # noqa: PLC0415

    async def record(claim: leases.Claim) -> float:
        journal = build_journal(run, claim)

        async def one_after_the_other(task: int) -> None:
            for number in range(count // AT_ONCE):
                event = Event(
                    EventKind.ACTION_FINISHED, SystemClock().now(), "p", f"a{task} {number}", {"status": 200}
                )
                await journal.record(event)

        started = time.perf_counter()
        await asyncio.gather(*(one_after_the_other(task) for task in range(AT_ONCE)))
        return time.perf_counter() - started

    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker=f"benchmark:{os.getpid()}")
    assert claim is not None
    seconds = asyncio.run(record(claim))
    numbers = EventRow.objects.filter(run=run).order_by("sequence").values_list("sequence", flat=True)
    assert list(numbers) == list(range(1, count + 1))
    return seconds


def main() -> int:
    with tempfile.TemporaryDirectory() as data:
        os.environ["DATA_DIR"] = data
        os.environ["LOG_LEVEL"] = "ERROR"
        os.environ["MAX_CONCURRENT_RUNS"] = "100"
        spawning = multiprocessing.get_context("spawn")
        with spawning.Pool(WRITERS, maxtasksperchild=1) as pool:
            pool.apply(migrate)
            alone = pool.apply(write_events, (EVENTS,))
            burst_seconds = pool.apply(write_bursts, (EVENTS * 10,))
            together = pool.map(write_events, [EVENTS // WRITERS] * WRITERS, chunksize=1)
        fsyncs = count_fsyncs(Path(data), FSYNCS)
    return report(Goals(), alone, EVENTS * 10 / burst_seconds, together, fsyncs)


def report(goals: Goals, alone: Written, at_once: float, together: list[Written], fsyncs: float) -> int:
    a_second = alone.events / alone.seconds
    goals.tell("fsyncs of a page on this disk, per second", fsyncs)
    goals.at_least("one writer: events per second", a_second, GOAL_PER_SECOND)
    of_processor = alone.events / alone.processor_seconds
    goals.at_least("the same: events per second of processor time", of_processor, GOAL_PER_SECOND)
    goals.tell("an event, in fsyncs of a page", fsyncs / a_second)
    opened = f"connections opened for {alone.events} events"
    goals.at_most(opened, alone.connections, CONNECTIONS_GOAL)
    goals.at_least(f"one writer, {AT_ONCE} events at once: events per second", at_once, GOAL_AT_ONCE)
    slowest = max(written.seconds for written in together)
    goals.tell(f"{WRITERS} writers: events per second", sum(written.events for written in together) / slowest)
    goals.at_most(f"{WRITERS} writers: errors", sum(len(written.errors) for written in together), 0)
    return goals.status


def migrate() -> None:
    import django  # noqa: PLC0415

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
