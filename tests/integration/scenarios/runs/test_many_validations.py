"""A run of many validations at once keeps its lease, hears of a stop, and leaves the event loop free."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connection
from pytest_django.fixtures import Settings

from scenarios.domain.outcomes import Outcome
from scenarios.supervision import watchdog
from scenarios.supervision.lease_watch import LeaseWatch
from tests.servers import many_validations

pytestmark = pytest.mark.django_db(transaction=True)

# A journal that takes 20 ms for each event, and a lease that is a fraction of what all events take.
SECONDS_PER_EVENT = 0.02
LEASE_SECONDS = 4
VALIDATIONS = 250
MAX_PAUSE = 0.05
TRIES = 12


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with many_validations.server() as address:
        yield address


@contextmanager
def a_watchdog_looks() -> Iterator[list[str]]:
    """What a watchdog would take over meanwhile."""
    taken: list[str] = []
    over = threading.Event()

    def look() -> None:
        watch = LeaseWatch(LEASE_SECONDS)
        while not over.wait(0.2):
            taken.extend(str(run.id) for run in watch.ran_out(watchdog.list_held_runs(), time.monotonic()))
        connection.close()

    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield taken
    finally:
        over.set()
        looking.join()


def test_a_lease_is_renewed_however_many_events_wait_to_be_written(url: str, settings: Settings) -> None:
    settings.LEASE_SECONDS = LEASE_SECONDS
    begun = time.monotonic()
    with many_validations.slow_journal(SECONDS_PER_EVENT), a_watchdog_looks() as taken:
        run, _observed = many_validations.carry_out(VALIDATIONS, url)
    assert time.monotonic() - begun > 2 * LEASE_SECONDS, "the journal was not slow"
    assert taken == []
    assert (run.outcome, run.fence) == (Outcome.PASSED, 1)
    numbers = list(run.events.order_by("sequence").values_list("sequence", flat=True))
    assert numbers == list(range(1, 3 * VALIDATIONS + 5))


def test_a_stop_is_heard_however_many_events_wait_to_be_written(url: str, settings: Settings) -> None:
    settings.LEASE_SECONDS = LEASE_SECONDS
    with many_validations.slow_journal(SECONDS_PER_EVENT):
        run, _observed = many_validations.carry_out(VALIDATIONS, url, stop_after=1.0)
    assert run.outcome == Outcome.ABORTED
    # Within a second where nothing else is busy. A look behind all events would come after all of them.
    assert run.events.count() < 3 * VALIDATIONS


def test_the_event_loop_never_stands_still(url: str) -> None:
    """What blocks it does so each time; what the machine does to it, busy with others, does not."""
    pauses: list[float] = []
    while not pauses or (min(pauses) > MAX_PAUSE and len(pauses) < TRIES):
        run, observed = many_validations.carry_out(999, url)
        assert run.outcome == Outcome.PASSED
        pauses.append(observed.longest_pause)
    assert min(pauses) <= MAX_PAUSE
