"""How much work an answer is, on a machine that does other things meanwhile."""

import time
from collections.abc import Callable


def quickest(ask: Callable[[], object], times: int = 7) -> float:
    """Seconds of processor time, the least of several: waiting for a busy core is not counted."""
    ask()
    return min(_seconds(ask) for _ in range(times))


def _seconds(ask: Callable[[], object]) -> float:
    begun = time.process_time()
    ask()
    return time.process_time() - begun
