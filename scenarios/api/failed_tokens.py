"""Counts requests with unknown tokens per address, in each process for itself."""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from django.conf import settings

WINDOW_SECONDS = 60.0
MAX_ADDRESSES = 10_000


class FailedTokens:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()

    def note(self, address: str) -> int:
        """Count one more. Return the seconds that the address must wait, 0 below the limit."""
        most, now = settings.API_FAILED_TOKENS_PER_MINUTE, self._clock()
        with self._lock:
            times = self._failed.setdefault(address, deque(maxlen=most))
            self._failed.move_to_end(address)
            if len(self._failed) > MAX_ADDRESSES:
                self._failed.popitem(last=False)
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
            if len(times) == most:
                return math.ceil(times[0] + WINDOW_SECONDS - now)
            times.append(now)
        return 0


failures = FailedTokens()
