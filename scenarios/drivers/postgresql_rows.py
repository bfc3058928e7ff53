"""The rows of a query, in a transaction that can only read, as JSON values."""

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from scenarios.drivers.servers import to_milliseconds

if TYPE_CHECKING:
    from psycopg import AsyncConnection

MAX_ROWS = 1000
MAX_CHARACTERS = 1024 * 1024
_BATCH = 100


async def read_rows(
    connection: "AsyncConnection[Any]", query: str, parameters: Sequence[Any] | None, seconds: float
) -> tuple[list[dict[str, Any]], bool]:
    """The first rows of the query, and whether they are all of them.

    A cursor of the server, because it takes one SELECT or VALUES and nothing else, and because its rows
    come in parts.

    Raises:
        psycopg.Error: the server refused the query.
    """
    await connection.set_read_only(True)
    limit = str(to_milliseconds(seconds))
    await connection.execute("SELECT set_config('statement_timeout', %s, true)", [limit])
    rows: list[dict[str, Any]] = []
    size = 0
    async with connection.cursor("test_coordinator") as cursor:
        await cursor.execute(query.encode(), parameters)
        names = [column.name for column in cursor.description or ()]
        while batch := await cursor.fetchmany(_BATCH):
            for row in batch:
                if len(rows) == MAX_ROWS or size > MAX_CHARACTERS:
                    return rows, False
                values = [to_json(value) for value in row]
                size += sum(len(str(value)) for value in values)
                rows.append(dict(zip(names, values, strict=True)))
    return rows, True


def to_json(value: Any) -> Any:
    """A value as psycopg returns it, as JSON has it; what JSON has no type for becomes text."""
    if value is None:
        return None
    return next((convert(value) for kind, convert in _CONVERSIONS if isinstance(value, kind)), str(value))


def _to_number(value: Decimal | float) -> int | float | str:
    """A number, or the text 'NaN', '+Inf' or '-Inf', which JSON cannot represent as numbers."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return int(value) if isinstance(value, Decimal) and value == value.to_integral_value() else float(value)


_CONVERSIONS: Sequence[tuple[Any, Callable[[Any], Any]]] = (
    (bool | int | str, lambda value: value),
    (Decimal | float, _to_number),
    (datetime | date | time, lambda value: value.isoformat()),
    (timedelta, lambda value: value.total_seconds()),
    (bytes | memoryview, lambda value: base64.b64encode(value).decode("ascii")),
    (Mapping, lambda value: {str(key): to_json(part) for key, part in value.items()}),
    (list | tuple, lambda value: [to_json(part) for part in value]),
)
