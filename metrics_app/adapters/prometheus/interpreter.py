"""Whether this Python lets a thread add to a number without a lock.

CPython, as long as it has its global lock, runs another thread, a signal handler or a finaliser when a
function begins, after a call and when a loop goes back, and nowhere else. The attribute of a class with slots
that holds a float, and a place of a memory view, are read and written without any of these: so
`cell.value += 1.0` is done as a whole. The store that follows takes the value as it is by then, because a
debugger may let other threads run between two lines.
"""

import sys

FIRST_UNKNOWN = 3, 15
"""A Python that nobody has looked into; there and in others recordings take the lock, and more time."""


def needs_locks() -> bool:
    has_global_lock: bool = getattr(sys, "_is_gil_enabled", lambda: True)()  # since 3.13
    return (
        sys.implementation.name != "cpython" or sys.version_info[:2] >= FIRST_UNKNOWN or not has_global_lock
    )
