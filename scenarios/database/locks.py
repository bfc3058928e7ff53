"""Locks by name, which need no row: the row may not exist yet."""

import hashlib

from django.db import connection


def lock_until_commit(name: str) -> None:
    """Let one transaction at a time go on with this name. SQLite has one writer anyway.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """
    if connection.vendor == "postgresql":
        # Here, because PostgreSQL takes no text with NUL characters.
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_advisory_xact_lock(%s)", [int.from_bytes(digest[:8], "big", signed=True)]
            )
