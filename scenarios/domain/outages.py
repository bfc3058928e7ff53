"""Outages of what a process depends on: one log line when an outage begins, and one when it ends."""

import logging
import threading
import time

logger = logging.getLogger(__name__)

MAX_REASON = 300


class Outage:
    """Failures during the outage write nothing. Safe to use from several threads."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._lock = threading.Lock()
        self._began: float | None = None
        self._last_failure = 0.0

    def note_failure(self, error: BaseException) -> bool:
        """Note a failure, and return whether the outage begins with it."""
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
        """Whether the last attempt failed less than `seconds` ago, so that another one is not worthwhile."""
        with self._lock:
            return self._began is not None and time.monotonic() - self._last_failure < seconds


# Shared by this process, so that only the part that meets the outage first logs it.
database = Outage("The database")


def describe(error: BaseException) -> str:
    """The error in one line, for example `OperationalError: connection refused`."""
    words = " ".join(str(error).split())[:MAX_REASON]
    return f"{type(error).__name__}: {words}" if words else type(error).__name__
