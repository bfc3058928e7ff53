"""The header `Retry-After` in each of its forms."""

from datetime import UTC, datetime

import pytest

from scenarios.domain.retry_after import parse_retry_after

NOW = datetime(2026, 11, 6, 8, 49, 37, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("0", 0.0),
        ("Fri, 06 Nov 2026 08:51:37 GMT", 120.0),
        ("Friday, 06-Nov-26 08:51:37 GMT", 120.0),
        ("Fri Nov  6 08:51:37 2026", 120.0),
        ("Fri, 06 Nov 2026 09:51:37 +0100", 120.0),
        ("Fri, 06 Nov 2026 08:51:37 -0000", 120.0),
        ("Fri, 06 Nov 2026 08:00:00 GMT", 0.0),  # over already
        ("", 0.0),
        ("soon", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("1e9", 0.0),
        ("9" * 400, 0.0),
        ("Fri, 99 Nov 2026 08:51:37 GMT", 0.0),
        ("Fri, 06 Nov 99999999999 08:51:37 GMT", 0.0),
        ("\u0663\u0663", 0.0),
    ],
)
def test_retry_after_accepts_seconds_and_dates_and_ignores_other_values(value: str, seconds: float) -> None:
    assert parse_retry_after({"retry-AFTER": value}, NOW) == seconds


def test_missing_header_means_no_wait() -> None:
    assert parse_retry_after({}, NOW) == 0.0
