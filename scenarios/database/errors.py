"""Kinds of database errors: the database is unreachable, or it refuses what is written."""

from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, InternalError, OperationalError, connections

# PostgreSQL raises InternalError on a read-only server, for example after a failover to a standby.
_AWAY = (OperationalError, InterfaceError, InternalError)
# PostgreSQL's error classes for which a retry is useless, whatever the exception: unsupported feature, data,
# constraint, statement, and program limit.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSED_CLASSES = frozenset({"0A", "22", "23", "42", "54"})
# Database adapters raise ValueError for NUL characters and lone surrogates.
UNSTORABLE = (Error, ValueError, TypeError, OverflowError, RecursionError)

# SQLite's code for an invalid statement, such as one with an unknown column.
_SQLITE_ERROR = 1


def is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached or cannot write now, so that a retry may succeed."""
    if not isinstance(error, _AWAY):
        return False
    cause = error.__cause__
    is_invalid = getattr(cause, "sqlite_errorcode", None) == _SQLITE_ERROR
    return not is_invalid and (getattr(cause, "sqlstate", None) or "")[:2] not in _REFUSED_CLASSES


def is_refused(error: BaseException) -> bool:
    """Whether the database works but refuses this write."""
    return isinstance(error, UNSTORABLE) and not is_away(error)


def encoding_problem(alias: str = DEFAULT_DB_ALIAS) -> str:
    """Why the database cannot store every text; "" if it can."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        ((encoding,),) = cursor.fetchall()
    if encoding == "UTF8":
        return ""
    return (
        f"the database's encoding is {encoding!r}, which cannot store every text; create a database with "
        "'createdb --encoding=UTF8 --template=template0 NAME', and restore a dump of the old one into it"
    )
