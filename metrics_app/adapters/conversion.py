"""Converts values and label values from callers to numbers and text, or refuses them."""

import math
from collections.abc import Mapping
from enum import Enum
from typing import SupportsFloat, SupportsIndex, cast

from metrics_app.ports import ConstantLabels, MetricsLabels, MetricValueError


def to_number(value: object) -> float:
    """The value as a `float`, which may be NaN or infinite.

    Raises:
        MetricValueError: it is not a real number.
    """
    if type(value) is float:
        return value
    # Text that looks like a number is refused: '3' as a value is a mistake elsewhere.
    if not isinstance(value, str | bytes | bytearray) and isinstance(value, SupportsFloat | SupportsIndex):
        try:
            return float(value)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise MetricValueError(
                f"{type(value).__name__} {_shown(value)} cannot be recorded ({error}): give a number that a "
                f"float can hold."
            ) from error
    raise MetricValueError(f"{_shown(value)} is not a number: give an int, a float or a Decimal.")


def to_amount(value: object) -> float:
    """A value that a counter may be increased by, or a histogram may observe.

    Raises:
        MetricValueError: it is not a finite number of 0 or above. Such a value would make the total
            fall, or stay NaN or infinite for ever.
    """
    number = to_number(value)
    if 0.0 <= number < math.inf:
        return number
    raise MetricValueError(
        f"{_shown(value)} cannot be added to a counter or histogram: give a finite number of 0 or above."
    )


def to_step(value: object) -> float:
    """A value that may be added to a gauge.

    Raises:
        MetricValueError: it is not a finite number. Such a value would make the gauge NaN or infinite until
            it is set.
    """
    number = to_number(value)
    if math.isfinite(number):
        return number
    raise MetricValueError(f"{_shown(value)} cannot be added to a gauge: give a finite number, or set it.")


def to_text(value: object) -> str:
    """A label value as text that can be written as UTF-8."""
    if isinstance(value, str):
        # The characters themselves, because a subclass may override str(): an enum would give its name.
        text = str.__str__(value)
    elif isinstance(value, int) and isinstance(value, Enum):
        text = int.__repr__(value)
    else:
        text = str(value)
    # Half of a surrogate pair, as in a path that is not UTF-8, cannot be exposed; '?' replaces it.
    return text if text.isascii() else text.encode(errors="replace").decode()


def read_constant_labels(labels: ConstantLabels | None) -> dict[str, str]:
    """The constant labels that are not empty, as text."""
    if labels is None:
        return {}
    given = labels.constant_labels() if isinstance(labels, MetricsLabels) else labels
    texts = {name: to_text(value) for name, value in cast("Mapping[str, object]", given).items()}
    return {name: text for name, text in texts.items() if text}


def _shown(value: object) -> str:
    try:
        return repr(value)[:100]
    except Exception:  # noqa: BLE001 - an error message must not fail over what it is about
        return f"a {type(value).__name__}"
