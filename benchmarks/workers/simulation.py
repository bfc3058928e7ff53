"""The statements of runs that go on, from few processes: what a database bears of 1,000 workers."""

import subprocess
import sys
import time
from contextlib import ExitStack

from benchmarks.goals import Goals
from benchmarks.workers.installation import installation, measured_work
from tests.servers.coordinator import PROJECT

PROCESSES, SIMULATED_SECONDS = 4, 20.0
# Each turn of a run: a look for a request to stop, and now and then a renewal of the lease. A turn that comes
# late is made up for, so that the rate is that of so many workers as long as the database keeps up.
PROGRAM = """
import sys, time
from datetime import timedelta
from django.conf import settings
from django.utils import timezone
from scenarios.domain.errors import LeaseLost
from scenarios.models import Run
from scenarios.runs.executor import RENEWALS_PER_LEASE
from scenarios.runs.leases import Claim, renew_lease
from scenarios.runs.stop_requests import POLL_SECONDS, find_stop_request
count = int(sys.stdin.readline())
rows = [
    Run.objects.create(scenario_name='simulated', document='x' * 2000, state='running', started_from='api',
                       lease_until=timezone.now() + timedelta(hours=1), claimed_at=timezone.now(), fence=1)
    for _ in range(count)
]
claims = [Claim(row.id, 1) for row in rows]
every = round(settings.LEASE_SECONDS / RENEWALS_PER_LEASE / POLL_SECONDS)
print('ready', flush=True)
sys.stdin.readline()
begun, turns, latest = time.monotonic(), 0, 0.0
while (now := time.monotonic()) < begun + SECONDS:
    due = begun + turns * POLL_SECONDS / count
    if due > now:
        time.sleep(due - now)
    latest = max(latest, now - due)
    claim = claims[turns % count]
    try:
        find_stop_request(claim)
        if (turns // count + turns % count) % every == 0:
            renew_lease(claim)
    except LeaseLost:  # so late that the watchdog has taken it over
        break
    turns += 1
print(turns, latest, flush=True)
"""


def simulate_runs(goals: Goals, count: int) -> None:
    with ExitStack() as stack:
        installed = stack.enter_context(installation(0))
        each = max(1, count // PROCESSES)
        processes = min(PROCESSES, count)
        program = PROGRAM.replace("SECONDS:", f"{SIMULATED_SECONDS}:")
        command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", program]
        started = [
            stack.enter_context(
                subprocess.Popen(
                    command,
                    cwd=PROJECT,
                    env=installed.system.environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(processes)
        ]
        for process in started:
            print(each, file=process.stdin, flush=True)
        for process in started:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        with measured_work(installed) as found:
            for process in started:
                print("go", file=process.stdin, flush=True)
            time.sleep(SIMULATED_SECONDS)
        answers = [process.communicate()[0].split() for process in started]
    what = f"simulated, {each * processes} runs that go on"
    goals.tell(f"{what}: statements per second", found[0].statements)
    goals.tell(f"{what}: of a core, executing them", found[0].execution)
    goals.tell(f"{what}: of a core, all of the server's processes", found[0].processor)
    goals.tell(f"{what}: a look came late by, at most", max(float(late) for _turns, late in answers), "s")
