"""What it takes to delete a scenario or a person with many runs, beside somebody who writes.

Watchdogs delete them, as processes of their own: two at once, and one is killed halfway and started again.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from django.contrib.auth.models import User
from django.test import Client

from benchmarks.goals import Goals
from benchmarks.rows.fill import BUSY_USER
from benchmarks.rows.measure import WRITER_GOAL, beside_a_writer
from scenarios.library import sync
from scenarios.models import AuditEntry, DeletionRequest, Heartbeat, Run, Scenario

ROOT = Path(__file__).resolve().parent.parent.parent
LIMIT_SECONDS = 3600.0
POLL_SECONDS = 0.1


class Watchdog(Protocol):
    """As a process that has been started."""

    @property
    def pid(self) -> int: ...

    def kill(self) -> None: ...


Start = Callable[[], AbstractContextManager[Watchdog]]


@contextmanager
def start_process() -> Iterator[Watchdog]:
    """A watchdog on this database; it leaves the old runs, which are there for other figures."""
    environment = {**os.environ, "RETENTION_DAYS": "36500"}
    process = subprocess.Popen([sys.executable, "manage.py", "watchdog"], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def measure_deletions(goals: Goals, start: Start = start_process) -> None:
    """`start` starts a watchdog, and kills it in the end."""
    scenario = Scenario.objects.order_by("pk").first()
    user = User.objects.get(username=BUSY_USER)
    assert scenario is not None
    runs, count = Run.objects.count(), scenario.runs.count()
    what = f"deleting a scenario with {count} runs"
    _measure(goals, what, lambda: sync.remove_scenario(scenario.name), start)
    assert not Scenario.objects.filter(pk=scenario.pk).exists()
    browser = Client(headers={"Host": "localhost"})
    browser.force_login(User.objects.create_superuser("deleter"), "django.contrib.auth.backends.ModelBackend")
    address, count = f"/admin/auth/user/{user.pk}/delete/", user.run_set.count()
    browser.get(address)  # loads what the first request needs
    what = f"deleting a user with {count} runs"
    _measure(goals, what, lambda: browser.post(address, {"post": "yes"}), start)
    assert not User.objects.filter(pk=user.pk).exists()
    assert Run.objects.count() == runs
    assert AuditEntry.objects.filter(entrance="watchdog").count() == len({"scenario", "user"})


def _measure(goals: Goals, what: str, request: Callable[[], object], start: Start) -> None:
    with start() as one, start() as other, beside_a_writer() as waits:
        _wait_until_seen(one)
        _wait_until_seen(other)
        waits.clear()
        begun = time.perf_counter()
        request()
        requested = time.perf_counter() - begun
        total = DeletionRequest.objects.get().total
        _wait_for(lambda: _count_left() < total / 2)
        other.kill()
        halfway = _count_left()
        with start():
            _wait_for(lambda: not DeletionRequest.objects.exists())
        lasted = time.perf_counter() - begun
    assert 0 < halfway < total, "one watchdog was to be killed while it goes on"
    goals.tell(f"{what}: the request", requested, "s")
    goals.tell(f"{what}: in all, by two watchdogs of which one is killed", lasted, "s")
    goals.at_most(f"another writer waits meanwhile, longest of {len(waits)}", max(waits), WRITER_GOAL, "ms")


def _count_left() -> int:
    return sum(DeletionRequest.objects.values_list("left", flat=True))


def _wait_until_seen(watchdog: Watchdog) -> None:
    """It has started, and has made its first round."""
    own = f":{watchdog.pid}"
    _wait_for(lambda: Heartbeat.objects.filter(name="watchdog", detail__endswith=own).exists())


def _wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + LIMIT_SECONDS
    while not condition():
        assert time.monotonic() < until, "the watchdogs do not get on"
        time.sleep(POLL_SECONDS)
