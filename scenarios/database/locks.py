"""Locks by name, which need no row: the row may not exist yet."""

from django.db import connection


def lock_until_commit(name: str) -> None:
    """Let one transaction at a time go on with this name. SQLite has one writer anyway.

    https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
