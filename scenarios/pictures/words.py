"""Times as people write them."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.utils import timezone
from django.utils.timesince import timesince, timeuntil

from scenarios.domain.durations import format_duration

MINUTE = 60.0


def duration(length: timedelta | float | None) -> str:
    """'4.3s' or '2m10s'; "" for None."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    return format_duration(round(seconds, 1) if seconds < MINUTE else round(seconds))


def moment_in_zone(at: datetime, zone: str) -> str:
    """'Tue 24 Nov 2026, 03:00 CET, in 5 hours, 2 minutes'."""
    try:
        local = at.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError):  # an unknown time zone
        local = at.astimezone(UTC)
    now = timezone.now()
    if abs(at - now) < timedelta(minutes=1):
        distance = "now"
    else:
        distance = f"in {timeuntil(at, now)}" if at > now else f"{timesince(at, now)} ago"
    return f"{local:%a %d %b %Y, %H:%M %Z}, {distance}".replace("\xa0", " ")


def moment(at: datetime | None) -> str:
    """The time of day, to the millisecond; "" for None."""
    return f"{timezone.localtime(at):%H:%M:%S}.{at.microsecond // 1000:03d}" if at else ""
