"""How long an answer takes, on a machine that does other things meanwhile."""

import time
from collections.abc import Callable


def quickest(ask: Callable[[], object], times: int = 7) -> float:
    """Seconds: the least of several, for whatever else the machine does can only add to it."""
    ask()
    return min(_seconds(ask) for _ in range(times))


def _seconds(ask: Callable[[], object]) -> float:
    begun = time.perf_counter()
    ask()
    return time.perf_counter() - begun
