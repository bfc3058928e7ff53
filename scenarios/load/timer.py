"""Calls at exact moments: timers of the event loop are rounded up to milliseconds, as epoll's timeouts are.

By timerfd, as `os.timerfd_create` of Python 3.13. https://man7.org/linux/man-pages/man2/timerfd_create.2.html
"""

import asyncio
import ctypes
import math
import os
import time
from collections.abc import Callable

_ABSOLUTE = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class _Setting(ctypes.Structure):
    _fields_ = [
        ("interval_seconds", ctypes.c_long),
        ("interval_nanoseconds", ctypes.c_long),
        ("seconds", ctypes.c_long),
        ("nanoseconds", ctypes.c_long),
    ]


class ExactTimer:
    """Calls `function` at the moment that was last given to `call_at`, in seconds of the loop's time.

    Raises:
        OSError: the kernel has no more timers.
    """

    def __init__(self, function: Callable[[], None]) -> None:
        self._function = function
        self._file = _LIBC.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create failed")
        asyncio.get_running_loop().add_reader(self._file, self._fire)

    def call_at(self, moment: float) -> None:
        seconds, nanoseconds = divmod(math.ceil(moment * 1e9), 1_000_000_000)
        setting = _Setting(0, 0, seconds, nanoseconds)
        _LIBC.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(setting), None)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._file)
        os.close(self._file)

    def _fire(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:
            return  # it was set again meanwhile
        self._function()
