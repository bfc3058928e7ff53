"""Ranges of numbers, and which matchers hold for all of a range or for none of it."""

import math
from dataclasses import dataclass
from typing import Any

_COMPARING = frozenset({"above", "at_least", "below", "at_most", "between"})


@dataclass(frozen=True, slots=True)
class Range:
    """A range including its limits; None means no limit."""

    low: float | None = None
    high: float | None = None

    def __contains__(self, number: float) -> bool:
        return self.lowest <= number <= self.highest

    def __str__(self) -> str:
        if self.high is None:
            return f"at least {self.low:g}"
        return f"between {self.low:g} and {self.high:g}" if self.low is not None else f"at most {self.high:g}"

    @property
    def lowest(self) -> float:
        return -math.inf if self.low is None else self.low

    @property
    def highest(self) -> float:
        return math.inf if self.high is None else self.high

    @property
    def compared(self) -> frozenset[str]:
        """The matchers to check against this range; none if it has no limits."""
        return frozenset() if self.low is None and self.high is None else _COMPARING


UNLIMITED = Range()


def predict_result(matcher: str, limit: Any, numbers: Range) -> str:
    """Return 'always' or 'never' if all or no numbers of a range meet the matcher, otherwise ''."""
    limits = limit if matcher == "between" else [limit]
    if not isinstance(limits, list) or not limits or any(type(bound) not in {int, float} for bound in limits):
        return ""
    first, last = limits[0], limits[-1]
    lowest, highest = numbers.lowest, numbers.highest
    always, never = {
        "above": (lowest > first, highest <= first),
        "at_least": (lowest >= first, highest < first),
        "below": (highest < first, lowest >= first),
        "at_most": (highest <= first, lowest > first),
        "between": (first <= lowest and highest <= last, last < lowest or highest < first),
    }[matcher]
    return "always" if always else "never" if never else ""
