"""Events of a run followed over a broken connection: `python benchmarks/client_events.py [--rounds 100]`.

A writer appends `--events` (10,000) events to a run, `--rate` a second, through the ledger's own functions.
The client library follows them over a relay that cuts the connection in the middle. Prints, for each round,
how many events were lost, how many arrived twice, and how long after being written they arrived (p50, p99,
maximum). Exits with 1 if an event was lost or arrived twice, or if the p99 is more than 100 ms.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from coordinator_client.synchronous.client import Client
from tests.servers.coordinator import PROJECT, coordinator
from tests.servers.cutting_relay import CuttingRelay

MAX_DELAY = 0.100
ADMIN = "from django.contrib.auth.models import User; User.objects.create_superuser('bench')"
# Committed in batches, as by a run with many events; then the run ends.
WRITER = """
import sys, time
from datetime import timedelta
from django.db import transaction
from django.utils import timezone
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import Outcome, Rollback, RunState
from scenarios.models import Event, Run

EVENTS, RATE, BATCH = {events}, {rate}, 20
print("ready", flush=True)
for line in sys.stdin:
    if not line.strip():
        continue
    run = Run.objects.create(scenario_name="bench", document="-", state=RunState.RUNNING, started_from="api",
                             claimed_at=timezone.now(), lease_until=timezone.now() + timedelta(hours=1))
    print(run.pk, flush=True)
    time.sleep(0.5)
    began = time.monotonic()
    for first in range(1, EVENTS + 1, BATCH):
        time.sleep(max(0.0, began + first / RATE - time.monotonic()))
        numbers = range(first, min(first + BATCH, EVENTS + 1))
        with transaction.atomic():
            Event.objects.bulk_create(
                Event(run=run, sequence=number, at=timezone.now(), kind=EventKind.ACTION_STARTED,
                      phase="chaos", subject="a step", detail={{}})
                for number in numbers
            )
            Run.objects.filter(pk=run.pk).update(last_event=numbers[-1])
    Run.objects.filter(pk=run.pk).update(state=RunState.FINISHED, outcome=Outcome.PASSED, lease_until=None,
                                         rollback=Rollback.CLEAN, finished_at=timezone.now())
"""


def follow(client: Client, run_id: str, relay: CuttingRelay, cut_at: int) -> tuple[list[int], list[float]]:
    numbers, delays = [], []
    for event in client.runs.follow(run_id):
        numbers.append(event.sequence)
        delays.append((datetime.now(UTC) - event.at).total_seconds())
        if event.sequence == cut_at:
            relay.cut()
    return numbers, delays


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rate", type=int, default=2_000)
    options = parser.parse_args()
    missed = 0
    with tempfile.TemporaryDirectory() as folder, coordinator(Path(folder)) as system:
        system.migrate()
        system.manage("shell", "--no-imports", "-c", ADMIN)
        token = system.manage("api_token", "create", "bench", "--name", "b", "--scope", "read").strip()
        system.start_web()
        script = WRITER.format(events=options.events, rate=options.rate)
        writer = subprocess.Popen(
            [sys.executable, "manage.py", "shell", "--no-imports", "-c", script],
            cwd=PROJECT,
            env=system.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        assert writer.stdin
        assert writer.stdout
        assert writer.stdout.readline().strip() == "ready"
        with writer, CuttingRelay(system.port) as relay, Client(relay.url, token) as client:
            for _ in range(20):  # each web process reads the API with its first request
                client.runs.list(limit=1)
            for number in range(1, options.rounds + 1):
                writer.stdin.write("next\n")
                run_id = writer.stdout.readline().strip()
                assert run_id
                began = time.monotonic()
                numbers, delays = follow(client, run_id, relay, options.events // 2)
                delays.sort()
                lost = options.events - len(set(numbers))
                twice = len(numbers) - len(set(numbers))
                p99 = delays[int(len(delays) * 0.99)]
                missed += bool(lost or twice or p99 > MAX_DELAY)
                print(
                    f"{number:3}: lost {lost}, twice {twice}, "
                    f"delay p50 {delays[len(delays) // 2] * 1000:.0f} ms, "
                    f"p99 {p99 * 1000:.0f} ms, largest {delays[-1] * 1000:.0f} ms, "
                    f"{time.monotonic() - began:.1f} s",
                    flush=True,
                )
            writer.stdin.close()
    print(f"{options.rounds - missed} of {options.rounds} rounds without loss and with p99 up to 100 ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
