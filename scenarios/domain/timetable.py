"""When a schedule's runs are due: a cron expression in a time zone, and a window in which they may start.

Clock changes work as in Debian's cron. A line whose minutes or hours begin with `*` is due whenever the clock
shows a matching time: never at a skipped time, twice at a repeated one. Any other line is due exactly once: a
skipped time is due when the gap ends, a repeated time the first time it comes.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from scenarios.domain.errors import InvalidSchedule

WEEK = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FIELDS = 5
# How many openings of the window are searched for a due time: about four years of days.
MAX_OPENINGS = 1_500
SECOND = timedelta(seconds=1)
TIME_OF_DAY = r"^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"
TIME_OF_DAY_HINT = "write it as 'HH:MM', for example '02:30'"
DAY = timedelta(days=1)


def parse_window(first: str, last: str) -> tuple[time, time]:
    """The times of day between which runs may start.

    Raises:
        InvalidSchedule: one of them is not a time of day.
    """
    texts = {"window_from": first, "window_to": last}
    errors = {
        field: f"{text!r} is not a time of day: {TIME_OF_DAY_HINT}"
        for field, text in texts.items()
        if not re.fullmatch(TIME_OF_DAY, text)
    }
    if errors:
        raise InvalidSchedule(errors)
    return time.fromisoformat(first), time.fromisoformat(last)


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (1 is Monday; empty means all) and times of day (None means the whole day).

    A window that ends at or before its beginning lasts over midnight and belongs to the day on which it
    begins.
    """

    days: frozenset[int] = frozenset()
    begins: time | None = None
    ends: time | None = None

    def holds(self, local: datetime) -> bool:
        return self._find_day(local) is not None

    def closes(self, local: datetime) -> datetime | None:
        """When the window around this moment closes; None if it never closes or the moment is outside it."""
        day = self._find_day(local)
        if day is None or (self.ends is None and len(self.days) in (0, len(WEEK))):
            return None
        if self.ends is not None:
            last = day if self.begins is not None and self.begins < self.ends else day + DAY
            return datetime.combine(last, self.ends, local.tzinfo)
        while self._is_day(day):
            day += DAY
        return datetime.combine(day, time(), local.tzinfo)

    def opens(self, local: datetime) -> datetime:
        """The first opening at or after this moment."""
        begins = self.begins or time()
        days = (local.date() + DAY * number for number in range(len(WEEK) + 2))
        openings = (datetime.combine(day, begins, local.tzinfo) for day in days if self._is_day(day))
        return next(opening for opening in openings if opening >= local)

    def _find_day(self, local: datetime) -> date | None:
        """The day on which the window around this moment began."""
        today, clock = local.date(), local.time()
        if self.begins is None or self.ends is None:
            return today if self._is_day(today) else None
        if self.begins < self.ends:
            return today if self._is_day(today) and self.begins <= clock < self.ends else None
        if self._is_day(today) and clock >= self.begins:
            return today
        return today - DAY if self._is_day(today - DAY) and clock < self.ends else None

    def _is_day(self, day: date) -> bool:
        return not self.days or day.isoweekday() in self.days

    def __str__(self) -> str:
        days = _describe_days(sorted(self.days))
        if self.begins is None or self.ends is None:
            return days
        return f"{days}, {self.begins:%H:%M} to {self.ends:%H:%M}"


def _describe_days(days: Sequence[int]) -> str:
    if not days or len(days) == len(WEEK):
        return "every day"
    names = [WEEK[day - 1] for day in days]
    is_row = len(days) > 2 and days[-1] - days[0] == len(days) - 1  # noqa: PLR2004 - two are named
    return f"{names[0]} to {names[-1]}" if is_row else ", ".join(names)


@dataclass(frozen=True, slots=True)
class Timetable:
    """Built and checked by `build_timetable`. Takes and returns aware datetimes; returns them in UTC."""

    cron: str
    zone: ZoneInfo
    window: Window

    def after(self, moment: datetime) -> Iterator[datetime]:
        """The due times after this moment, in order; the sequence may end."""
        found = CronSim(self.cron, moment.astimezone(self.zone))
        openings = 0
        while openings < MAX_OPENINGS:
            try:
                local = next(found)
            except StopIteration:
                return
            if self.window.holds(local):
                openings = 0
                yield local.astimezone(UTC)
                continue
            # Skips to the next opening: a line for every minute has 10,000 times in a week outside the
            # window.
            opening = self.window.opens(local)
            found = CronSim(self.cron, opening - SECOND)
            openings += 1

    def next_after(self, moment: datetime) -> datetime | None:
        return next(self.after(moment), None)

    def between(self, after: datetime, until: datetime, at_most: int) -> list[datetime]:
        """The due times later than `after`, up to and including `until`."""
        found: list[datetime] = []
        for moment in islice(self.after(after), at_most):
            if moment > until:
                break
            found.append(moment)
        return found

    def may_start(self, moment: datetime) -> bool:
        return self.window.holds(moment.astimezone(self.zone))

    def closes(self, moment: datetime) -> datetime | None:
        """The end of the window around this moment."""
        closing = self.window.closes(moment.astimezone(self.zone))
        return closing.astimezone(UTC) if closing is not None else None

    def in_words(self) -> str:
        words = CronSim(self.cron, datetime.now(UTC)).explain()
        within = f"; window: {self.window}" if self.window != Window() else ""
        return f"{words}, {self.zone.key}{within}"


@lru_cache(maxsize=512)
def build_timetable(cron: str, zone: str, window: Window) -> Timetable:
    """Build a timetable after checking its parts.

    Raises:
        InvalidSchedule: `cron`, `time_zone` or `window` is not valid; with a sentence for each.
    """
    errors = {name: sentence for name, sentence in _find_problems(cron, zone, window) if sentence}
    if errors:
        raise InvalidSchedule(errors)
    checked = Timetable(cron, ZoneInfo(zone), window)
    if checked.next_after(datetime.now(UTC)) is None:
        where = " within its window" if window != Window() else ""
        raise InvalidSchedule({"cron": f"{cron!r} is never due{where}; change the expression or the window"})
    return checked


def _find_problems(cron: str, zone: str, window: Window) -> Iterator[tuple[str, str]]:
    yield "cron", _find_cron_problem(cron.split(), cron)
    if zone not in available_timezones():
        yield "time_zone", f"unknown time zone {zone!r}; use a name such as 'Europe/Berlin' or 'UTC'"
    if (window.begins is None) != (window.ends is None):
        yield "window", "the window has only one of its two times: give both, or neither for the whole day"


def _find_cron_problem(fields: Sequence[str], cron: str) -> str:
    if len(fields) != FIELDS:
        return (
            f"{cron!r} has {len(fields)} {'field' if len(fields) == 1 else 'fields'}: a cron expression has "
            "five, for minute, hour, day of month, month and day of week, for example '30 2 * * MON-FRI'"
        )
    try:
        CronSim(cron, datetime.now(UTC))
    except CronSimError as error:
        what = str(error).removeprefix("Bad ")
        return f"{cron!r} is not a cron expression: its {what} is not valid; write it like '30 2 * * MON-FRI'"
    return ""
