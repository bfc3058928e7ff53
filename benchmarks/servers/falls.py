"""Scrapes again and again, and notices whenever a counter falls or is gone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.exposition import samples

COUNTS = ("_total", "_count", "_sum", "_bucket")
PAUSE = 0.05
Series = tuple[str, frozenset[tuple[str, str]]]


class Falls:
    def __init__(self, scrape: Callable[[], bytes]) -> None:
        self.scrapes = self.found = 0
        self.error: BaseException | None = None
        self._scrape = scrape
        self._before: dict[Series, float] = {}

    def look(self) -> None:
        now = {
            (name, labels): value
            for name, series in samples(self._scrape()).items()
            for labels, value in series.items()
            # What a process used is shown as long as it lives.
            if name.endswith(COUNTS) and not name.startswith(("process_", "python_"))
        }
        self.scrapes += 1
        self.found += sum(now.get(series, -1.0) < value for series, value in self._before.items())
        self._before = now


@contextmanager
def watched(scrape: Callable[[], bytes]) -> Iterator[Falls]:
    """Look in a thread.

    Raises:
        Exception: a scrape failed, or cannot be read.
    """
    falls, ended = Falls(scrape), threading.Event()

    def look_again() -> None:
        try:
            while not ended.wait(PAUSE):
                falls.look()
        except Exception as error:  # noqa: BLE001 - raised by the one who waits for the thread
            falls.error = error

    thread = threading.Thread(target=look_again)
    thread.start()
    try:
        yield falls
    finally:
        ended.set()
        thread.join()
    if falls.error is not None:
        raise falls.error
