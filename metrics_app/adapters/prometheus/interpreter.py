"""Whether this Python lets a thread add to a number without a lock.

As long as CPython has its global lock, it runs another thread, a signal handler or a finaliser only when a
function begins, after a call, and when a loop jumps back. An attribute of a class with slots that holds a
float, and an item of a memory view, are read and written without any of these, so `cell.value += 1.0` is
atomic. The store that follows reads the value again, because a debugger may let other threads run between two
lines.
"""

import sys

FIRST_UNKNOWN = 3, 15
"""A Python that nobody has looked into; there and in others recordings take the lock, and more time."""


def needs_locks() -> bool:
    has_global_lock: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # since 3.13
    return (
        sys.implementation.name != "cpython" or sys.version_info[:2] >= FIRST_UNKNOWN or not has_global_lock
    )
