"""How many events a journal makes durable: `python benchmarks/durable_events.py`; exits 1 on a missed goal.

On a SQLite file of its own: one writer whose events come one after the other (goal: 300 per second), one
whose events come in bursts and share transactions (goal: 2,000), then four writing processes at once (goal:
not one `database is locked`). With DATABASE_URL set, on that empty database instead.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

from scenarios.domain.event_kinds import EventKind

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "coordinator_site.settings"

EVENTS = 1000
WRITERS = 4
GOAL_PER_SECOND = 300.0
AT_ONCE = 500
GOAL_AT_ONCE = 2000.0
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: benchmark}
spec: {phases: [{name: p, hold: 1s}]}
"""


def write_events(count: int) -> tuple[float, list[str]]:
    """Seconds for so many events of one run, and the errors that were met."""
    import django  # noqa: PLC0415 - each process sets itself up

    django.setup()
    from django.db import OperationalError  # noqa: PLC0415

    from scenarios.engine.clock import SystemClock  # noqa: PLC0415
    from scenarios.ports import Event  # noqa: PLC0415
    from scenarios.runs import commands as run_commands  # noqa: PLC0415
    from scenarios.runs import leases  # noqa: PLC0415
    from scenarios.runs.executor import build_journal  # noqa: PLC0415

    errors: list[str] = []

    def append_noting_errors(claim: leases.Claim, event: Event) -> None:
        try:
            leases.append_event(claim, event)
        except OperationalError as error:
            errors.append(str(error))
            raise

    async def record(claim: leases.Claim) -> float:
        journal = build_journal(run, claim)
        started = time.perf_counter()
        for number in range(count):
            event = Event(EventKind.ACTION_FINISHED, SystemClock().now(), "p", f"a{number}", {"status": 200})
            await journal.write(append_noting_errors, claim, event)
        return time.perf_counter() - started

    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    claim = leases.claim_run(run.id, run.attempt, worker=f"benchmark:{os.getpid()}")
    assert claim is not None
    return asyncio.run(record(claim)), errors


def write_bursts(count: int) -> float:
    """Seconds for so many events of one run, of which AT_ONCE wait together to be durable."""
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
            seconds, _ = pool.apply(write_events, (EVENTS,))
            burst_seconds = pool.apply(write_bursts, (EVENTS * 10,))
            started = time.perf_counter()
            together = pool.map(write_events, [EVENTS // WRITERS] * WRITERS, chunksize=1)
            all_seconds = time.perf_counter() - started
    errors = [error for _, found in together for error in found]
    alone = EVENTS / seconds
    print(f"one writer: {alone:.0f} events per second (goal {GOAL_PER_SECOND:.0f})")
    at_once = EVENTS * 10 / burst_seconds
    print(f"one writer, {AT_ONCE} events at once: {at_once:.0f} events per second (goal {GOAL_AT_ONCE:.0f})")
    print(f"{WRITERS} writers: {EVENTS / max(s for s, _ in together):.0f} events per second", end=", ")
    print(f"{len(errors)} errors (goal 0), {all_seconds:.1f} s with their start")
    return 1 if alone < GOAL_PER_SECOND or at_once < GOAL_AT_ONCE or errors else 0


def migrate() -> None:
    import django  # noqa: PLC0415

    django.setup()
    from django.core.management import call_command  # noqa: PLC0415

    call_command("migrate", verbosity=0)


if __name__ == "__main__":
    sys.exit(main())
