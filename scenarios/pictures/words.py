"""Times as people write them."""

from datetime import datetime, timedelta

from django.utils import timezone

from scenarios.domain.durations import format_duration

MINUTE = 60.0


def duration(length: timedelta | float | None) -> str:
    """'4.3s', '2m10s'; nothing where there is none."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    return format_duration(round(seconds, 1) if seconds < MINUTE else round(seconds))


def moment(at: datetime | None) -> str:
    """The time of day, to the millisecond; nothing where there is none."""
    return f"{timezone.localtime(at):%H:%M:%S}.{at.microsecond // 1000:03d}" if at else ""
