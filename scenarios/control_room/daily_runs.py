"""How many runs each of the last days had, and how many of them passed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta

from django.core.cache import cache
from django.db import connection
from django.utils import timezone

from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.models import Run
from scenarios.pictures.days import Day

DAYS = 30
# Runs of today and yesterday may end at any moment. Earlier days change only if a fault is acknowledged, or
# runs are deleted.
DAYS_COUNTED_EACH_TIME = 2
MAX_SECONDS_KEPT = 60
# Passed as in the exit code of `scenario run`: a run that left something injected has not.
_COUNT_DAY = f"""
SELECT CAST(%s AS integer), count(*), count(CASE WHEN outcome = '{Outcome.PASSED}'
    AND rollback IN ('{Rollback.CLEAN}', '{Rollback.UNVERIFIED}') THEN 1 END)
FROM {Run._meta.db_table} WHERE queued_at >= %s AND queued_at < %s AND finished_at IS NOT NULL
"""  # noqa: S608, SLF001 - of constants


def runs_per_day() -> list[Day]:
    """The last 30 days, up to today, including days without a run.

    A process counts the days before yesterday once a minute. With 100,000 runs, that is half of the time
    that Home takes on PostgreSQL.
    """
    today = timezone.localdate()
    midnights = [_midnight(today - timedelta(days=DAYS - 1 - number)) for number in range(DAYS)]
    # Today has no end: the clock of the machine that queued a run may be ahead.
    midnights.append(midnights[-1] + timedelta(days=DAYS))
    key = f"runs-per-day-from-{midnights[0].isoformat()}"
    earlier: list[Day] | None = cache.get(key)
    if earlier is not None:
        return [*earlier, *_count(midnights[-DAYS_COUNTED_EACH_TIME - 1 :])]
    days = _count(midnights)
    cache.set(key, days[:-DAYS_COUNTED_EACH_TIME], MAX_SECONDS_KEPT)
    return days


def _midnight(day: date) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))


def _count(limits: Sequence[datetime]) -> list[Day]:
    """A day for each limit but the last, at which it begins.

    A query for each day, all in one: each counts its part of an index. Grouped by day, the database would
    compute the day of each run, and sort them by it: four times the time on SQLite.
    """
    begins = limits[:-1]
    moments = [connection.ops.adapt_datetimefield_value(moment) for moment in limits]
    parameters = [value for number in range(len(begins)) for value in (number, *moments[number : number + 2])]
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join([_COUNT_DAY] * len(begins)), parameters)
        found = {number: (runs, passed) for number, runs, passed in cursor.fetchall()}
    return [Day(begin.date(), *found[number]) for number, begin in enumerate(begins)]


def compute_shares(days: Iterable[Day]) -> Mapping[str, int | float | None]:
    runs, passed = 0, 0
    for day in days:
        runs, passed = runs + day.runs, passed + day.passed
    return {"runs": runs, "passed": passed, "rate": passed / runs * 100 if runs else None}
