"""A SQLite database to a file and back, by SQLite's own backup, beside processes that use it.

https://www.sqlite.org/backup.html
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from coordinator_site.backups.errors import BackupError

MAX_WAIT = 60.0  # seconds for another process's transaction


def copy_to(path: Path, database: dict[str, Any]) -> None:
    """Raises BackupError: the database is damaged, in use for too long, or the disk is full."""
    try:
        with (
            closing(
                sqlite3.connect(f"file:{_quote(database['NAME'])}?mode=ro", uri=True, timeout=MAX_WAIT)
            ) as source,
            closing(sqlite3.connect(path)) as copy,
        ):
            source.backup(copy)
            _check(copy, path)
    except sqlite3.Error as error:
        raise BackupError(f"The database {database['NAME']} cannot be copied: {error}.") from error


def copy_from(path: Path, database: dict[str, Any]) -> None:
    """Replace the database in one transaction: after a power cut it is the old one or the new one.

    Raises:
        BackupError: the copy is damaged, the database is in use for too long, or the disk is full.
    """
    try:
        with (
            closing(sqlite3.connect(f"file:{_quote(path)}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(database["NAME"], timeout=MAX_WAIT)) as target,
        ):
            _check(source, path)
            # The wait for a lock is the statement's, and not the backup's.
            target.execute("BEGIN EXCLUSIVE")
            target.execute("ROLLBACK")
            source.backup(target)
    except sqlite3.Error as error:
        raise BackupError(f"The database {database['NAME']} cannot be replaced: {error}.") from error


def _check(connection: sqlite3.Connection, path: Path) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise BackupError(f"{path} is damaged: {found}.")


def _quote(path: object) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
