"""The header `Retry-After`: a number of seconds, or a date (RFC 9110, 10.2.3)."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

# Ten digits would be more than 30 years.
_MAX_DIGITS = 9


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float:
    """The seconds to wait; 0 if the header is missing or not valid, or the date is in the past."""
    value = next((value for name, value in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdecimal():
        return float(value) if len(value) <= _MAX_DIGITS else 0.0
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return 0.0
    if moment.tzinfo is None:  # 'asctime' or '-0000', which both mean UTC
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
