"""What is usual, and what is not, of a few measured values."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# Of fewer values nothing can be said.
MIN_VALUES = 5
# Values that hardly differ must not make each further one unusual. In seconds.
MIN_DEVIATION = 0.05
UNUSUAL_DEVIATIONS = 2


@dataclass(frozen=True, slots=True)
class Usual:
    """The median of earlier values, their median absolute deviation from it, and how many there were.

    Values that differ by less than `min_deviation` are not told apart.
    """

    middle: float
    deviation: float
    count: int
    min_deviation: float = MIN_DEVIATION

    def is_unusual(self, value: float) -> bool:
        if self.count < MIN_VALUES:
            return False
        return abs(value - self.middle) > UNUSUAL_DEVIATIONS * max(self.deviation, self.min_deviation)


def find_usual(values: Sequence[float], min_deviation: float = MIN_DEVIATION) -> Usual | None:
    """None without values."""
    if not values:
        return None
    middle = median(values)
    deviation = median(abs(value - middle) for value in values)
    return Usual(middle, deviation, len(values), min_deviation)
