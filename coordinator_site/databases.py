"""Database options: locking on SQLite, timeouts on PostgreSQL."""

from collections.abc import Mapping
from typing import Any

SQLITE = "django.db.backends.sqlite3"
# Many processes write. Each transaction waits for the write lock at its start, because upgrading a read lock
# later may fail; readers do not block writers.
# https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-transaction-behavior
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
}
# Seconds for which a thread keeps its connection. To open a SQLite file costs more than most queries: Django
# registers its functions, and SQLite reads the schema.
MAX_CONNECTION_AGE = 60
# When packets are lost, TCP alone waits for a quarter of an hour, and the watchdog with it.
# https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds, for data that was sent
    "keepalives_idle": 5,  # seconds; a missing answer is noticed after 15 in all
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def add_options(database: Mapping[str, Any]) -> dict[str, Any]:
    """Django's settings for one database; options in DATABASE_URL take precedence on PostgreSQL."""
    if database["ENGINE"] == SQLITE:
        return {**database, "CONN_MAX_AGE": MAX_CONNECTION_AGE, "OPTIONS": SQLITE_OPTIONS}
    options = {**POSTGRESQL_OPTIONS, **database.get("OPTIONS", {})}
    kept = {"CONN_MAX_AGE": MAX_CONNECTION_AGE, "CONN_HEALTH_CHECKS": True}
    return {**database, **kept, "OPTIONS": options}
