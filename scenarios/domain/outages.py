"""What is away for a while: one line in the log when that begins, and one when it ends."""

import logging
import threading
import time

logger = logging.getLogger(__name__)

MAX_REASON = 300


class Outage:
    """Any number of failures in between write nothing. May be used by several threads."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._began: float | None = None
        self._last_failure = 0.0

    def note_failure(self, error: BaseException) -> bool:
        """Whether the outage begins with this failure."""
        with self._lock:
            self._last_failure = time.monotonic()
            if self._began is not None:
                return False
            self._began = self._last_failure
        logger.warning("%s does not answer: %s", self._what, describe(error))
        return True

    def note_success(self) -> None:
        with self._lock:
            began, self._began = self._began, None
        if began is not None:
            logger.warning("%s answers again, after %.0f s", self._what, time.monotonic() - began)

    def failed_within(self, seconds: float) -> bool:
        """Whether it is away, and was tried so short a time ago that another try would only cost time."""
        with self._lock:
            return self._began is not None and time.monotonic() - self._last_failure < seconds


# Of this process: whichever part of it meets the outage first tells of it, and no other does.
database = Outage("The database")


def describe(error: BaseException) -> str:
    """The error in one line, as `OperationalError: connection refused`."""
    words = " ".join(str(error).split())[:MAX_REASON]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
