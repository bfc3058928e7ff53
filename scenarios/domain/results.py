"""The fields that a driver's steps return, and whether what a document expects can ever fit them.

Declared once, as `Returns` of the driver's arguments: validation, JSON Schema, completion and reference
all come from there. A driver that declares none is free: anything may be expected of it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ConfigDict

from scenarios.domain.json_queries import compiled_query
from scenarios.domain.matchers import OVER_LISTS, shown
from scenarios.domain.spelling import near
from scenarios.domain.templates import is_templated

Path = tuple[str | int, ...]
# Where it is broken, the rule, and a hint.
Misfit = tuple[Path, str, str]

_NUMERIC = frozenset({"integer", "number"})
_COMPARING = ("above", "at_least", "below", "at_most", "between")
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


class Returned(BaseModel):
    """Base of what drivers declare as `Returns`. A field may be missing from an answer."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Kind:
    """JSON types that a value may have; none stands for any. `items` is the kind of a list's values.

    With `series`, `all`, `any` and `count` look at several values of which the field has one.
    """

    types: frozenset[str] = frozenset()
    items: "Kind | None" = None
    series: bool = False

    def may_be(self, *types: str) -> bool:
        return not self.types or not self.types.isdisjoint(types)

    @property
    def of_values(self) -> "Kind":
        """Of the values that `all` and `any` look at."""
        return Kind(self.types) if self.series else self.items or ANY

    def __str__(self) -> str:
        return " or ".join(_WORDS[one] for one in sorted(self.types))


ANY = Kind()
WHOLE_NUMBER = Kind(frozenset({"integer"}))
TEXT = Kind(frozenset({"string"}))
LIST = Kind(frozenset({"array"}))


@dataclass(frozen=True, slots=True)
class Field:
    kind: Kind
    description: str = ""


@lru_cache(maxsize=256)
def returned_fields(arguments: type[BaseModel]) -> Mapping[str, Field] | None:
    """The fields that steps with these arguments return; None where anything may be expected."""
    declared = getattr(arguments, "Returns", None)
    if not (isinstance(declared, type) and issubclass(declared, BaseModel)):
        return None
    properties = declared.model_json_schema().get("properties", {})
    return {name: Field(_kind(schema), schema.get("description", "")) for name, schema in properties.items()}


def _kind(schema: Mapping[str, Any]) -> Kind:
    alternatives = [one for one in schema.get("anyOf", [schema]) if isinstance(one, Mapping)]
    types: set[str] = set()
    items: Kind | None = None
    for one in alternatives:
        written = one.get("type")
        if not isinstance(written, str):
            return Kind(series=bool(schema.get("series")))
        types.add(written)
        if isinstance(one.get("items"), Mapping):
            items = _kind(one["items"])
    if "number" in types:
        types.discard("integer")
    return Kind(frozenset(types), items, bool(schema.get("series")))


def unfit(expect: Mapping[str, Any], arguments: type[BaseModel] | None, driver: str) -> Iterator[Misfit]:
    """What can never hold, or always does: unknown fields, and matchers and values of another kind."""
    returned = returned_fields(arguments) if arguments is not None else None
    for name, wanted in expect.items():
        if returned is not None and name not in returned:
            rule = f"{shown(name)} is not returned by {driver!r}: it returns {', '.join(returned)}"
            yield (name,), rule, near(name, list(returned))
        elif name == "json":
            yield from _unfit_queries(wanted)
        elif name == "headers":
            yield from _unfit_headers(wanted)
        else:
            kind = returned[name].kind if returned is not None else ANY
            yield from _unfit_matchers(repr(name), (name,), wanted, kind)


def _unfit_queries(wanted: Any) -> Iterator[Misfit]:
    for query, matchers in wanted.items() if isinstance(wanted, Mapping) else ():
        try:
            is_singular = compiled_query(query).is_singular
        except (ValueError, TypeError):
            continue  # said by its own declaration
        for path, rule, hint in _unfit_matchers(
            f"JSON at {query!r}", ("json", query), matchers, ANY if is_singular else LIST
        ):
            yield path, rule, hint or ("" if is_singular else f"{query!r} may select several values")


def _unfit_headers(wanted: Any) -> Iterator[Misfit]:
    for name, matchers in wanted.items() if isinstance(wanted, Mapping) else ():
        yield from _unfit_matchers(f"header {name!r}", ("headers", name), matchers, TEXT)


def _unfit_matchers(subject: str, path: Path, wanted: Any, kind: Kind) -> Iterator[Misfit]:
    if not isinstance(wanted, Mapping):
        yield from _unfit_value(subject, path, wanted, kind)
        return
    for name, expected in wanted.items():
        place = (*path, name)
        if rule := _unusable(name, subject, kind):
            yield place, rule, ""
        elif name in {"equals", "not"}:
            yield from _unfit_value(subject, place, expected, kind)
        elif name in {"in", "not_in"} and isinstance(expected, list):
            for index, one in enumerate(expected):
                yield from _unfit_value(subject, (*place, index), one, kind)
        elif name == "contains":
            yield from _unfit_part(subject, place, expected, kind)
        elif name in {"all", "any"}:
            yield from _unfit_matchers(f"the values of {subject}", place, expected, kind.of_values)
        elif name == "count":
            yield from _unfit_matchers("a number of values", place, expected, WHOLE_NUMBER)


def usable(name: str, kind: Kind) -> bool:
    """Whether the matcher can be met by some values of the kind, and not by others."""
    if name in _COMPARING:
        return kind.may_be(*_NUMERIC)
    if name == "matches":
        return kind.may_be("string")
    if name == "contains":
        return kind.may_be("string", "array", "object")
    if name in OVER_LISTS:
        return kind.series or kind.may_be("array")
    return True


def _unusable(name: str, subject: str, kind: Kind) -> str:
    return "" if usable(name, kind) else f"{name!r} never holds here: {subject} is {kind}"


def _unfit_part(subject: str, path: Path, part: Any, kind: Kind) -> Iterator[Misfit]:
    if not kind.may_be("array") and not isinstance(part, str):
        yield path, f"{shown(part)} is never contained in {subject}, which is {kind}", _in_quotes(part)


def _unfit_value(subject: str, path: Path, value: Any, kind: Kind) -> Iterator[Misfit]:
    if is_templated(value) or fits(value, kind):
        return
    hint = _in_quotes(value) if kind.types == TEXT.types else ""
    if isinstance(value, str) and not kind.types.isdisjoint(_NUMERIC):
        hint = "write numbers without quotes"
    elif kind.types == LIST.types:
        hint = "write a list, or look at its values by 'all', 'any', 'count' or 'contains'"
    yield path, f"{shown(value)} is never equal to {subject}, which is {kind}", hint


def _in_quotes(value: Any) -> str:
    return f"write it in quotes, '{value}'" if isinstance(value, int | float) else ""


def fits(value: Any, kind: Kind) -> bool:
    """Whether a value of the kind may equal this one."""
    if isinstance(value, bool):
        return kind.may_be("boolean")
    if isinstance(value, int):
        return kind.may_be(*_NUMERIC)
    if isinstance(value, float):
        return kind.may_be("number") or (kind.may_be("integer") and value.is_integer())
    if isinstance(value, str):
        return kind.may_be("string")
    if value is None:
        return kind.may_be("null")
    return kind.may_be("array" if isinstance(value, list) else "object")
