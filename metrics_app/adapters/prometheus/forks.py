"""What adapters do when the process forks, because each process needs its own slot."""

import atexit
import os
from typing import Protocol
from weakref import WeakSet

from metrics_app.adapters.prometheus.library_values import after_fork_in_child as library_after_fork_in_child


class SlotHolder(Protocol):
    def after_fork_in_child(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def store_cpu(self) -> None: ...


_holders: WeakSet[SlotHolder] = WeakSet()

_pid = os.getpid()
"""The process that holds what the adapters hold."""


def follow(holder: SlotHolder) -> None:
    """Call the adapter's methods at each fork and at the end of the process, as long as it exists."""
    _holders.add(holder)


def notice_fork() -> None:
    """Do what a fork requires, in a child that a server such as uWSGI forked without Python's hooks."""
    if os.getpid() != _pid:
        library_after_fork_in_child()
        _after_fork_in_child()


def _after_fork_in_child() -> None:
    global _pid  # noqa: PLW0603 - one per process
    _pid = os.getpid()
    for holder in _holders:
        holder.after_fork_in_child()


def _after_fork_in_parent() -> None:
    for holder in list(_holders):
        holder.after_fork_in_parent()


def _store_cpu() -> None:
    for holder in _holders:
        holder.store_cpu()


os.register_at_fork(after_in_child=_after_fork_in_child, after_in_parent=_after_fork_in_parent)
atexit.register(_store_cpu)
