"""A wall clock that a test can set under running processes, with libfaketime (Debian's faketime).

Only the time of day is stepped, as by a person or by NTP: clocks that measure (CLOCK_MONOTONIC) go on.
https://github.com/wolfcw/libfaketime
"""

from pathlib import Path

SITE = Path(__file__).parent / "faketime_site"


def library() -> Path | None:
    return next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)


class WallClock:
    """The clock of the processes that are started with its environment."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(hours=0)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",  # the file is read again at each look at the clock
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            "PYTHONPATH": str(SITE),
        }

    def step(self, *, hours: int) -> None:
        """From now on, the clock is this many hours ahead of the true time, or behind it."""
        # Renamed into place: a process may be reading it.
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours:+d}h\n")
        new.rename(self._file)
