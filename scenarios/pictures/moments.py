"""Moments as elements: in UTC, until a script of the page shows them as its reader prefers."""

from datetime import UTC, datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString


def show_moment(at: datetime | None) -> SafeString | str:
    """Date and time to the second; "" for None."""
    return _format(at, "full", "%Y-%m-%d %H:%M:%S UTC")


def show_clock(at: datetime | None) -> SafeString | str:
    """The time of day to the millisecond; "" for None."""
    milliseconds = f"{at.microsecond // 1000:03d}" if at else ""
    return _format(at, "clock", f"%H:%M:%S.{milliseconds}")


def _format(at: datetime | None, style: str, shown: str) -> SafeString | str:
    if at is None:
        return ""
    utc = at.astimezone(UTC)
    return format_html(
        '<time class="moment" datetime="{}" data-style="{}" title="{} UTC">{}</time>',
        utc.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        style,
        f"{utc:%Y-%m-%d %H:%M:%S}",
        f"{utc:{shown}}",
    )
