"""What a database refuses, and what its errors mean for the one who writes: wait, or write something else."""

from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, InternalError, OperationalError, connections

# InternalError: PostgreSQL's word for a server that is read-only, as after a failover to a standby.
_AWAY = (OperationalError, InterfaceError, InternalError)
# Of PostgreSQL's error classes, those that a second try cannot cure, whichever exception they come as: an
# unsupported feature, the data, a constraint, the statement, and a value that is too long or too deep.
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REFUSED_CLASSES = frozenset({"0A", "22", "23", "42", "54"})
# ValueError: NUL characters and lone surrogates, found by the database's adapter before anything is sent.
UNSTORABLE = (Error, ValueError, TypeError, OverflowError, RecursionError)

# SQLite's word for a statement that makes no sense, as one about a column that is not there.
_SQLITE_ERROR = 1


def is_away(error: BaseException) -> bool:
    """Whether the database cannot be reached or cannot write now, so that the same write may work later."""
    if not isinstance(error, _AWAY):
        return False
    cause = error.__cause__
    is_nonsense = getattr(cause, "sqlite_errorcode", None) == _SQLITE_ERROR
    return not is_nonsense and (getattr(cause, "sqlstate", None) or "")[:2] not in _REFUSED_CLASSES


def is_refused(error: BaseException) -> bool:
    """Whether the database is there, and refuses what was to be written."""
    return isinstance(error, UNSTORABLE) and not is_away(error)


def encoding_problem(alias: str = DEFAULT_DB_ALIAS) -> str:
    """Why texts of scenarios and services cannot all be stored there, as a sentence; "" where they can."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return ""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_encoding")
        ((encoding,),) = cursor.fetchall()
    if encoding == "UTF8":
        return ""
    return (
        f"the database's encoding is {encoding!r}, in which not every text can be stored: create one with "
        "'createdb --encoding=UTF8 --template=template0 NAME', and restore a dump of the old one into it"
    )
