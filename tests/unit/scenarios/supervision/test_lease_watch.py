"""A lease that stands unchanged for as long as it lasts has run out, whatever the wall clock says."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from scenarios.models import Run
from scenarios.supervision.lease_watch import LeaseWatch

UNTIL = datetime(2026, 1, 1, tzinfo=UTC)


def run(*, fence: int = 1, later: float = 0.0, lasts: int | None = None) -> Run:
    until = UNTIL + timedelta(seconds=later)
    return Run(id=UUID(int=1), fence=fence, lease_until=until, lease_seconds=lasts)


def test_a_lease_unchanged_for_its_whole_length_has_run_out() -> None:
    watch = LeaseWatch(15)
    assert watch.ran_out([run()], now=100.0) == []
    assert watch.ran_out([run()], now=114.9) == []
    assert len(watch.ran_out([run()], now=115.0)) == 1


def test_a_lease_that_is_renewed_never_runs_out_even_when_the_wall_clock_is_set_back() -> None:
    watch = LeaseWatch(15)
    for number in range(100):
        assert watch.ran_out([run(later=-3600 * number)], now=10.0 * number) == []


def test_a_take_over_begins_another_lease() -> None:
    watch = LeaseWatch(15)
    watch.ran_out([run()], now=0.0)
    assert watch.ran_out([run(fence=2)], now=15.0) == []


def test_a_run_that_has_ended_is_forgotten() -> None:
    watch = LeaseWatch(15)
    watch.ran_out([run()], now=0.0)
    watch.ran_out([], now=1.0)
    assert watch.ran_out([run()], now=20.0) == []


def test_a_lease_lasts_as_long_as_its_holder_says_not_as_the_watchdogs_setting() -> None:
    for own in (1, 15, 3600):
        watch = LeaseWatch(own)
        assert watch.ran_out([run(lasts=60)], now=0.0) == []
        assert watch.ran_out([run(lasts=60)], now=59.9) == []
        assert len(watch.ran_out([run(lasts=60)], now=60.0)) == 1


def test_the_run_of_a_worker_of_an_older_version_has_the_watchdogs_own_length() -> None:
    watch = LeaseWatch(15)
    watch.ran_out([run(lasts=None)], now=0.0)
    assert len(watch.ran_out([run(lasts=None)], now=15.0)) == 1


def test_a_holder_that_renews_for_another_length_is_measured_by_that_one() -> None:
    watch = LeaseWatch(15)
    watch.ran_out([run(lasts=2)], now=0.0)
    watch.ran_out([run(later=1, lasts=60)], now=1.0)
    assert watch.ran_out([run(later=1, lasts=60)], now=60.9) == []
    assert len(watch.ran_out([run(later=1, lasts=60)], now=61.0)) == 1
