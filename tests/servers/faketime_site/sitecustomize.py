"""Python imports this by itself at the start of a process with a WallClock, and sleeps by other means.

Debian's libfaketime (0.9.10) breaks clock_nanosleep on the clock that it is told to leave alone:
https://github.com/wolfcw/libfaketime/pull/426
"""

import threading
import time
from typing import SupportsIndex


def sleep(seconds: float | SupportsIndex) -> None:
    threading.Event().wait(float(seconds))


time.sleep = sleep
