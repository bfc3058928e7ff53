"""A process that stands still in the middle of a transaction must not keep its locks for ever.

A worker that is stopped, or whose machine is paused, holds the row of its run: nobody can take the run over
and undo its faults until it goes on. PostgreSQL ends such a session instead.
"""

from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

MAX_IDLE_SECONDS = 60.0


def limit_idle_transactions() -> None:
    """For all connections of this process to PostgreSQL, from now on."""
    connection_created.connect(_limit, dispatch_uid="limit_idle_transactions")
    connections.close_all()


def _limit(connection: BaseDatabaseWrapper, **_signal: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            limit = f"{MAX_IDLE_SECONDS * 1000:.0f}"  # milliseconds
            cursor.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, false)", [limit])
