"""Over which time charts reach, how finely, and when they are read again."""

from datetime import UTC, datetime, timedelta

import pytest

from scenarios.charts.window import close_around, next_reading, rate_window, windows_around

BEGAN = datetime(2026, 1, 1, 12, tzinfo=UTC)
SETTLE = timedelta(seconds=10)


def after(**length: float) -> datetime:
    return BEGAN + timedelta(**length)


@pytest.mark.parametrize(
    "length", [timedelta(seconds=1), timedelta(seconds=40), timedelta(minutes=20), timedelta(days=300)]
)
def test_charts_reach_ten_minutes_around_the_run_with_at_most_240_points(length: timedelta) -> None:
    ended = BEGAN + length
    windows = windows_around(BEGAN, ended, ended + timedelta(hours=1), scrape=5)
    whole = windows[0]
    assert whole.start <= (BEGAN - timedelta(minutes=10)).timestamp() < whole.start + whole.step
    assert whole.end == (ended + timedelta(minutes=10)).timestamp()
    assert sum(len(window.moments()) for window in windows) <= 240


def test_a_short_run_is_read_once_more_by_itself_and_finely() -> None:
    whole, close = windows_around(BEGAN, after(seconds=20), after(hours=1), scrape=1)
    assert (whole.step, close.step) == (12.0, 1.0)
    assert close.start == after(seconds=-20).timestamp()
    assert close.end == after(seconds=40).timestamp()


def test_nothing_is_asked_of_the_future() -> None:
    now = after(seconds=8)
    windows = windows_around(BEGAN, after(seconds=5), now, scrape=5)
    assert max(window.end for window in windows) == now.timestamp()
    assert max(windows_around(BEGAN, None, now, scrape=5)[-1].moments()) <= now.timestamp()


def test_a_clock_that_was_set_back_gives_windows_all_the_same() -> None:
    for window in windows_around(BEGAN, None, after(hours=-2), scrape=5):
        assert len(window.moments()) >= 1


def test_a_later_reading_has_its_points_at_the_same_places() -> None:
    ended = after(seconds=20)
    first = windows_around(BEGAN, ended, after(seconds=100), scrape=5)[0].moments()
    second = windows_around(BEGAN, ended, after(seconds=104), scrape=5)[0].moments()
    assert set(first) <= set(second)


def test_a_few_scrapes_around_a_short_run_are_shown_large() -> None:
    left, right = close_around(BEGAN, after(seconds=2), goes_on=False, scrape=15)
    assert (left, right) == (after(seconds=-90).timestamp(), after(seconds=92).timestamp())


@pytest.mark.parametrize(("scrape", "step", "seconds"), [(15, 1, 60), (5, 60, 65), (1, 0.5, 4)])
def test_a_rate_survives_a_lost_scrape_and_leaves_no_sample_out(
    scrape: float, step: float, seconds: int
) -> None:
    assert rate_window(scrape, step) == seconds


def test_a_run_is_read_oftener_at_its_beginning() -> None:
    def due_after(length: timedelta) -> timedelta | None:
        now = BEGAN + length
        due = next_reading(BEGAN, None, now, settle=SETTLE, complete=True)
        return due - now if due else None

    assert due_after(timedelta(seconds=1)) == timedelta(seconds=5)
    assert due_after(timedelta(minutes=10)) == timedelta(seconds=10)
    assert due_after(timedelta(days=1)) == timedelta(seconds=60)


def test_an_ended_run_is_read_until_its_ten_minutes_are_over_and_then_no_more() -> None:
    ended = after(seconds=30)
    now, moments = ended, []
    while (due := next_reading(BEGAN, ended, now, settle=SETTLE, complete=True)) is not None:
        moments.append((due - ended).total_seconds())
        now = due
    assert moments == [20, 60, 240, 610]


def test_a_prometheus_that_is_away_at_the_last_reading_is_asked_again_for_an_hour() -> None:
    ended = after(seconds=30)
    last = ended + timedelta(seconds=610)
    assert next_reading(BEGAN, ended, last, settle=SETTLE, complete=False) == last + timedelta(minutes=5)
    assert next_reading(BEGAN, ended, last + timedelta(hours=1), settle=SETTLE, complete=False) is None
