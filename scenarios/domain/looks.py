"""The looks of a validation: when each was, whether it held, how long it took, and what number was seen."""

from dataclasses import dataclass
from itertools import pairwise

MAX_LOOKS = 2_000
# Of all validations of a run together, so that a run with a thousand of them is limited, too.
MAX_LOOKS_OF_RUN = 100_000
MIN_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Look:
    """`at` is when it began, in Unix seconds. `elapsed` is in seconds.

    `value` is the number that the expectation compares; None if it compares none, or only `elapsed`.
    """

    at: float
    holds: bool
    elapsed: float
    value: float | None = None


class LookSeries:
    """The looks of one validation, at most `limit` of them.

    When there are more, every second one is dropped, and from then on only every second, then every fourth …
    is kept. Changes are kept exactly: the look at which the answer changed, and the one before it. Only if
    most looks are changes, every second pair of looks is dropped, older ones more often than newer ones.

    `thinned` counts how often looks were dropped.
    """

    def __init__(self, limit: int = MAX_LOOKS) -> None:
        self.looks: list[Look] = []
        self.thinned = 0
        self._limit = limit
        self._seen = 0
        self._stride = 1
        self._last: Look | None = None

    def add(self, look: Look) -> None:
        before, self._last = self._last, look
        changes = before is not None and before.holds != look.holds
        if changes and before is not None and self.looks[-1] is not before:
            self.looks.append(before)
        if changes or self._seen % self._stride == 0:
            self.looks.append(look)
        self._seen += 1
        if len(self.looks) > self._limit:
            self._thin()

    def _thin(self) -> None:
        kept = _keep_changes(self.looks)
        if len(kept) > self._limit * 3 // 4:
            # In pairs: of answers that alternate, every second one would always be the same.
            kept = [look for number, look in enumerate(self.looks) if number % 4 < 2]  # noqa: PLR2004
        self.looks = kept
        self.thinned += 1
        self._stride *= 2


def _keep_changes(looks: list[Look]) -> list[Look]:
    """Every second look, and both looks of each change."""
    changes = {number for number, (look, other) in enumerate(pairwise(looks)) if look.holds != other.holds}
    changes |= {number + 1 for number in changes}
    return [look for number, look in enumerate(looks) if number % 2 == 0 or number in changes]


def choose_limit(validations: int) -> int:
    """How many looks to keep for each validation of a run with this many validations."""
    return min(MAX_LOOKS, max(MIN_LIMIT, MAX_LOOKS_OF_RUN // max(1, validations)))
