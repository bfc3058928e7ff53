"""How long this product waits for its database, whichever it is."""

from collections.abc import Mapping
from typing import Any

SQLITE = "django.db.backends.sqlite3"
# Many processes write: each transaction takes the write lock at its start (no upgrade that fails), waits for
# it, and readers do not block writers. Measured in docs of Django 5.1 on:
# https://docs.djangoproject.com/en/5.2/ref/databases/#sqlite-transaction-behavior
SQLITE_OPTIONS = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
}
# Seconds for which a thread keeps its connection. To open a SQLite file costs more than most queries: Django
# registers its functions, and SQLite reads the schema.
MAX_CONNECTION_AGE = 60
# Where packets are lost, and not refused, TCP alone would wait for a quarter of an hour: so long no watchdog
# would look. https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
POSTGRESQL_OPTIONS = {
    "connect_timeout": 5,  # seconds
    "tcp_user_timeout": 10_000,  # milliseconds, for what was sent
    "keepalives_idle": 5,  # seconds, for an answer that never comes: 15 in all
    "keepalives_interval": 5,
    "keepalives_count": 2,
}


def for_many_processes(database: Mapping[str, Any]) -> dict[str, Any]:
    """Django's settings of one database. What DATABASE_URL itself says of PostgreSQL's options holds."""
    if database["ENGINE"] == SQLITE:
        return {**database, "CONN_MAX_AGE": MAX_CONNECTION_AGE, "OPTIONS": SQLITE_OPTIONS}
    options = {**POSTGRESQL_OPTIONS, **database.get("OPTIONS", {})}
    kept = {"CONN_MAX_AGE": MAX_CONNECTION_AGE, "CONN_HEALTH_CHECKS": True}
    return {**database, **kept, "OPTIONS": options}
