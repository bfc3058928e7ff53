"""Ctrl-C and SIGTERM while a run is followed: the first stops the run, a later one ends the command."""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# So many more, while the stop is requested, end the command at once: a coordinator may be silent.
MAX_HELD = 2


class Interrupts:
    """Raises KeyboardInterrupt at the first signal, and holds others back until `release`.

    CI and `timeout` of GNU send SIGTERM to a command and to its group: twice at once. The second must not end
    the command before it has requested the stop, because the run would go on.
    """

    def __init__(self) -> None:
        self._is_holding = False
        self._held: list[int] = []
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            if number == signal.SIGINT and signal.getsignal(number) == signal.SIG_IGN:
                continue  # in the background of a script: Ctrl-C is for another process
            self._before[number] = signal.signal(number, self._take) or signal.SIG_DFL
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _frame: FrameType | None) -> None:
        if self._is_holding:
            self._held.append(number)
            if len(self._held) < MAX_HELD:
                return
        self._is_holding = True
        raise KeyboardInterrupt

    def hold(self) -> None:
        self._is_holding = True

    def release(self) -> None:
        """Raises KeyboardInterrupt if somebody has pressed Ctrl-C meanwhile."""
        self._is_holding = False
        if signal.SIGINT in self._held:
            raise KeyboardInterrupt
        self._held.clear()
