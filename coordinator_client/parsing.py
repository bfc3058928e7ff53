"""Reads JSON objects as records. Unknown fields are kept in `raw`; missing ones get their default."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from datetime import datetime
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

from coordinator_client.errors import NotUnderstoodError
from coordinator_client.records import Record

R = TypeVar("R", bound=Record)
Reader = Callable[[Any], Any]
_readers: dict[type[Record], list[tuple[str, Reader, bool]]] = {}


def parse(kind: type[R], row: Any) -> R:
    """The record in a JSON object.

    Raises:
        NotUnderstoodError: a field is missing or has another type.
    """
    if not isinstance(row, Mapping):
        raise NotUnderstoodError(kind.__name__.lower())
    values = {}
    if kind not in _readers:
        _readers[kind] = _list_readers(kind)
    for name, read, is_required in _readers[kind]:
        if name in row:
            try:
                values[name] = read(row[name])
            except (TypeError, ValueError):
                raise NotUnderstoodError(name) from None
        elif is_required:
            raise NotUnderstoodError(name)
    return kind(**values, raw=row)


def _list_readers(kind: type[Record]) -> list[tuple[str, Reader, bool]]:
    return [
        (field.name, _choose_reader(field.type), _is_required(field))
        for field in fields(kind)
        if field.name != "raw"
    ]


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _choose_reader(annotation: Any) -> Reader:
    arguments = get_args(annotation)
    if NoneType in arguments:
        (inner,) = (part for part in arguments if part is not NoneType)
        read = _choose_reader(inner)
        return lambda value: None if value is None else read(value)
    origin = get_origin(annotation) or annotation
    if origin is Sequence:
        return _read_items(_choose_reader(arguments[0]))
    if origin is Mapping:
        return _check(Mapping)
    if origin is datetime:
        return _read_time
    if issubclass(origin, Record):
        return lambda value: parse(origin, value)
    return _check(int | float if origin is float else origin)


def _check(kind: Any) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise TypeError(kind)
        return value

    return read


def _read_items(read: Reader) -> Reader:
    def read_all(value: Any) -> Any:
        if not isinstance(value, list | tuple):
            raise TypeError(value)
        return tuple(read(item) for item in value)

    return read_all


def _read_time(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError(value)
    return moment


def read_field(row: Any, name: str) -> Any:
    try:
        return row[name]
    except (KeyError, TypeError, IndexError):
        raise NotUnderstoodError(name) from None
