"""Transactions that survive a power cut."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction


@contextmanager
def on_disk() -> Iterator[None]:
    """A transaction that is on disk when the block ends, with everything committed before it.

    Inside another transaction, the outer one decides.

    SQLite in WAL mode with `synchronous=NORMAL` leaves commits to the operating system; FULL makes the commit
    wait for the disk. A PostgreSQL server, database or role may have `synchronous_commit` off.
    https://www.sqlite.org/pragma.html#pragma_synchronous
    https://www.postgresql.org/docs/current/runtime-config-wal.html#GUC-SYNCHRONOUS-COMMIT
    """
    with _synchronous_full(), transaction.atomic():
        _wait_for_the_disk()
        yield


@contextmanager
def _synchronous_full() -> Iterator[None]:
    if (
        connection.vendor != "sqlite" or connection.in_atomic_block
    ):  # it cannot be changed within a transaction
        yield
        return
    before = _pragma("PRAGMA synchronous")
    _pragma("PRAGMA synchronous=FULL")
    try:
        yield
    finally:
        # A connection that broke meanwhile gets the value from the settings.
        if connection.connection is not None:
            _pragma(f"PRAGMA synchronous={before}")


def _pragma(words: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(words)
        row = cursor.fetchone()
    return int(row[0]) if row is not None else 0


def _wait_for_the_disk() -> None:
    """Change only `off`, because all other values already wait for the disk."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT set_config('synchronous_commit', 'on', true)"
                " WHERE current_setting('synchronous_commit') = 'off'"
            )
