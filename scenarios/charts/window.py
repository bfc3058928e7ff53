"""The time range and resolution of a run's charts, and when they are read again."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

# The run, and as much before and after it.
AROUND = timedelta(minutes=10)
MAX_POINTS = 240
# A run is read separately if the whole range is longer than this many times the run.
SMALL_PART = 1.5
MIN_SCRAPES, MIN_MARGIN = 6, timedelta(seconds=15)
STEPS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600)
# While the run goes on, this share of its length is the smallest visible change.
MIN_INTERVAL, MAX_INTERVAL = timedelta(seconds=5), timedelta(seconds=60)
READINGS_PER_LENGTH = 60
# After the end: at once, after late scrapes, during recovery, and after ten minutes.
AFTER_THE_END = (timedelta(seconds=20), timedelta(seconds=60), timedelta(minutes=4))
# How long to retry if Prometheus is unreachable at the last reading.
PATIENCE = timedelta(hours=1)
ASK_AGAIN = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Window:
    """Unix seconds. `start` is a multiple of `step`: a later reading has its points at the same places."""

    start: float
    end: float
    step: float

    def moments(self) -> list[float]:
        return [self.start + number * self.step for number in range(self._points())]

    def find_place(self, moment: float) -> int | None:
        """The index of the moment, if it is one of `moments`."""
        place = round((moment - self.start) / self.step)
        return place if 0 <= place < self._points() else None

    def _points(self) -> int:
        return int((self.end - self.start) / self.step) + 1


def close_around(began: datetime, ends: datetime, *, goes_on: bool, scrape: float) -> tuple[float, float]:
    """The part that is shown large, in Unix seconds: the run, and as much before and after it as it lasted,
    but at least a few scrapes, and no more than is read.
    """
    margin = min(AROUND, max(ends - began, MIN_MARGIN, MIN_SCRAPES * timedelta(seconds=scrape)))
    return (began - margin).timestamp(), (ends if goes_on else ends + margin).timestamp()


def windows_around(began: datetime, ended: datetime | None, now: datetime, *, scrape: float) -> list[Window]:
    """The windows that are read: the run and its surroundings, and the run more finely if it is short."""
    start = (began - AROUND).timestamp()
    end = max(start, (min(ended + AROUND, now) if ended else now).timestamp())
    left, right = close_around(began, ended or now, goes_on=ended is None, scrape=scrape)
    right = max(left, min(right, end))
    if (right - left) * SMALL_PART > end - start:
        return [_window(start, end, MAX_POINTS)]
    return [_window(start, end, MAX_POINTS // 2), _window(left, right, MAX_POINTS // 2)]


def _window(start: float, end: float, points: int) -> Window:
    # The moments are the start and as many after it as there are whole steps, one more by the rounding.
    wanted = (end - start) / (points - 2)
    step = next((float(step) for step in STEPS if step >= wanted), STEPS[-1] * math.ceil(wanted / STEPS[-1]))
    return Window(math.floor(start / step) * step, end, float(step))


def rate_window(scrape_seconds: float, step: float) -> int:
    """Seconds over which a rate is taken: four scrapes survive a lost one, and no sample falls between two
    points. As Grafana's `$__rate_interval`:
    https://grafana.com/blog/2020/09/28/new-in-grafana-7.2-__rate_interval-for-prometheus-rate-queries-that-just-work/
    """
    return math.ceil(max(4 * scrape_seconds, step + scrape_seconds))


def next_reading(
    began: datetime, ended: datetime | None, now: datetime, *, settle: timedelta, complete: bool
) -> datetime | None:
    """When the charts are read again after a reading at `now`; None where nothing new can come.

    `settle` is how long a sample may take to arrive; `complete` says that nothing was missing this time.
    """
    if ended is None:
        return now + min(MAX_INTERVAL, max(MIN_INTERVAL, (now - began) / READINGS_PER_LENGTH))
    last = ended + AROUND + settle
    if now < last:
        return next((ended + after for after in AFTER_THE_END if ended + after > now), last)
    return now + ASK_AGAIN if not complete and now < last + PATIENCE else None
