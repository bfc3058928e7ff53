"""The statements of runs that go on, without their workers: what a database bears of 1,000 workers.

Processes in Python would be slower than the database, so pgbench, a part of PostgreSQL, sends the statements
of each look for a request to stop, and of each renewal of a lease, as often as so many runs do.
"""

import re
import subprocess

from benchmarks.goals import Goals
from benchmarks.installed import entrance
from benchmarks.workers.installation import Installation, installation, measured_work
from tests.servers.postgresql import programs

SIMULATED_SECONDS = 20
CLIENTS = 32
# The looks of a run are 200 ms apart.
MAX_LATE_MS = 20.0
# Six digits: pgbench writes numbers without leading zeros.
FIRST = 100_000
# Each look begins as every call of a worker does: is the connection still there?
PROGRAM = """
import sys
from datetime import timedelta
from uuid import UUID
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from scenarios.database.connections import reconnecting
from scenarios.models import Run
from scenarios.runs.executor import RENEWALS_PER_LEASE
from scenarios.runs.leases import Claim, renew_lease
from scenarios.runs.stop_requests import POLL_SECONDS, find_stop_request
print('ready', flush=True)
count = int(sys.stdin.readline())
every = settings.LEASE_SECONDS / RENEWALS_PER_LEASE
Run.objects.bulk_create(
    Run(id=f'00000000-0000-0000-0000-000000{number}', scenario_name='simulated', document='x' * 2000,
        state='running', started_from='api', lease_until=timezone.now() + timedelta(hours=1),
        claimed_at=timezone.now(), fence=1)
    for number in range(FIRST, FIRST + count)
)
settings.LEASE_SECONDS = 3600
claim = Claim(UUID('00000000-0000-0000-0000-000000FIRST'), 1)
print(1 / POLL_SECONDS, 1 / every, flush=True)
for look in (find_stop_request, renew_lease):
    with CaptureQueriesContext(connection) as captured:
        reconnecting(look)(claim)
    statements = ['SELECT 1', *(query['sql'] for query in captured.captured_queries)]
    print(';'.join(statements), flush=True)
"""


def simulate_runs(goals: Goals, count: int) -> None:
    with installation(0) as installed:
        with entrance(installed.system, PROGRAM.replace("FIRST", str(FIRST))) as asked:
            looks, renewals = map(float, asked.ask(str(count)))
            scripts = {"look": " ".join(asked.read()), "renewal": " ".join(asked.read())}
        for name, statements in scripts.items():
            (installed.system.data / name).write_text(_write_script(statements, count))
        shares = {"look": looks, "renewal": renewals}
        with measured_work(installed) as found:
            said = _send(installed, shares, count * (looks + renewals))
    what = f"simulated, {count} runs that go on"
    goals.tell(f"{what}: statements per second", found[0].statements)
    goals.tell(f"{what}: of a core, executing them", found[0].execution)
    goals.tell(f"{what}: of a core, all of the server's processes", found[0].processor)
    late = re.search(r"schedule lag: avg ([\d.]+) \(max ([\d.]+)\) ms", said)
    assert late is not None, said
    goals.at_most(f"{what}: sent late, on average", float(late[1]), MAX_LATE_MS, "ms")
    goals.tell(f"{what}: sent late, at most", float(late[2]), "ms")


def _write_script(statements: str, count: int) -> str:
    """For pgbench: each transaction is of a run at random."""
    assert str(FIRST) in statements
    lines = statements.replace(str(FIRST), ":run").split(";")
    return "\n".join([f"\\set run random({FIRST}, {FIRST + count - 1})", *(f"{line};" for line in lines), ""])


def _send(installed: Installation, shares: dict[str, float], rate: float) -> str:
    """Send the scripts in these shares, so many a second; returns what pgbench says."""
    found = programs()
    assert found is not None
    # Weights are whole numbers.
    files = [f"--file={installed.system.data / name}@{round(share * 60)}" for name, share in shares.items()]
    options = [f"--client={CLIENTS}", "--jobs=2", f"--time={SIMULATED_SECONDS}", f"--rate={rate:.0f}"]
    command = [str(found / "pgbench"), "--no-vacuum", *options, *files, installed.database]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout
