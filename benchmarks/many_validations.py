"""A run of 999 validations on a slow journal: `python benchmarks/many_validations.py`.

Each event takes 20 ms to write, in the transaction in which it is written. Prints how many runs a watchdog
would have taken over (goal: 0), the time until a stop is noticed (goal: 1 s), and the longest pause of the
event loop that it caused itself (goal: 50 ms), with the default lease and, for 300 validations, with a lease
of 6 s. On a temporary SQLite file or, with DATABASE_URL, on that database, which must be empty. Takes three
minutes. Exits with 1 if a goal is missed.
"""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "coordinator_site.settings"

SECONDS_PER_EVENT = 0.02
STOP_AFTER = 5.0
STOP_GOAL, PAUSE_GOAL = 1.0, 0.05
# Validations, and the lease in seconds.
CASES = ((999, 15), (300, 6))


def measure(count: int, lease_seconds: int, url: str) -> bool:
    """Print what was measured; whether all goals are reached."""
    from django.conf import settings  # noqa: PLC0415

    from tests.servers import many_validations  # noqa: PLC0415

    settings.LEASE_SECONDS = lease_seconds
    begun = time.monotonic()
    with many_validations.slow_journal(SECONDS_PER_EVENT), watched() as taken:
        run, whole = many_validations.carry_out(count, url)
        took = time.monotonic() - begun
        _run, stopped = many_validations.carry_out(count, url, stop_after=STOP_AFTER)
    pause = max(whole.longest_pause, stopped.longest_pause)
    print(f"{count} validations, lease {lease_seconds} s: {run.verdict} after {took:.0f} s", end=", ")
    print(f"{len(taken)} take-overs (goal 0)", end=", ")
    print(
        f"stop heard after {stopped.stop_heard_after * 1000:.0f} ms (goal {STOP_GOAL * 1000:.0f})", end=", "
    )
    print(f"longest pause {pause * 1000:.0f} ms (goal {PAUSE_GOAL * 1000:.0f})")
    return (
        not taken
        and run.outcome == "passed"
        and stopped.stop_heard_after <= STOP_GOAL
        and pause <= PAUSE_GOAL
    )


class watched:  # noqa: N801 - used as a function
    """A watchdog looks on every 200 ms; it is told what it would take over."""

    def __enter__(self) -> list[str]:
        self._taken: list[str] = []
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        return self._taken

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        from django.db import connection  # noqa: PLC0415

        from scenarios.supervision import watchdog  # noqa: PLC0415
        from scenarios.supervision.lease_watch import LeaseWatch  # noqa: PLC0415

        watch = LeaseWatch(1)
        while not self._over.wait(0.2):
            self._taken.extend(
                str(run.id) for run in watch.ran_out(watchdog.list_held_runs(), time.monotonic())
            )
        connection.close()


def main() -> int:
    import django  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as data:
        os.environ["DATA_DIR"] = data
        os.environ["LOG_LEVEL"] = "ERROR"
        django.setup()
        from django.core.management import call_command  # noqa: PLC0415

        from tests.servers import many_validations  # noqa: PLC0415

        call_command("migrate", verbosity=0)
        with many_validations.server() as url:
            reached = [measure(count, lease_seconds, url) for count, lease_seconds in CASES]
    return 0 if all(reached) else 1


if __name__ == "__main__":
    sys.exit(main())
