"""Numbers as people read them on an axis."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.domain.units import Unit
from scenarios.pictures.quantities import axis, quantity


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0123, Unit.SECONDS, "12.3 ms"),
        (2.5, Unit.SECONDS, "2.5 s"),
        (0.0, Unit.SECONDS, "0 s"),
        (0.034, Unit.SHARE, "3.4%"),
        (1234.0, Unit.PER_SECOND, "1.23k/s"),
        (1536.0, Unit.BYTES, "1.5 KiB"),
        (999.6, Unit.NUMBER, "1000"),
        (-2_000_000.0, Unit.NUMBER, "-2M"),
        (1e300, Unit.NUMBER, "1.00e+300"),
    ],
)
def test_a_quantity_has_three_digits_and_its_unit(value: float, unit: Unit, text: str) -> None:
    assert quantity(value, unit) == text


def test_an_axis_begins_at_zero_unless_all_values_lie_close_together() -> None:
    assert axis(2.0, 9.0) == [0.0, 5.0, 10.0]
    assert axis(0.0, 0.0)[-1] == 1.0
    assert axis(1000.0, 1010.0)[0] >= 900


numbers = st.floats(allow_nan=False, allow_infinity=False)


@given(numbers, numbers)
def test_an_axis_takes_in_every_value_with_few_marks(first: float, other: float) -> None:
    lowest, highest = sorted((first, other))
    marks = axis(lowest, highest)
    assert 2 <= len(marks) <= 7
    assert marks == sorted(set(marks))
    assert all(math.isfinite(mark) for mark in marks)
    bound = 1e300
    if abs(lowest) < bound and abs(highest) < bound:
        slack = 1e-6 * max(abs(marks[0]), abs(marks[-1]))
        assert marks[0] - slack <= lowest
        assert highest <= marks[-1] + slack
