"""The fields that a driver returns, and whether an expectation can ever match them.

A driver declares its fields once, as `Returns` of its arguments. Validation, JSON Schema, completion and
the reference all use that declaration. Without one, `expect` may name any field.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ConfigDict, JsonValue

from scenarios.domain.json_queries import compile_query
from scenarios.domain.matchers import LIST_MATCHERS, MATCHERS, format_value, is_number
from scenarios.domain.ranges import UNLIMITED, Range, predict_result
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import is_templated

Path = tuple[str | int, ...]
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_NUMERIC = frozenset({"integer", "number"})
_COMPARING = ("above", "at_least", "below", "at_most", "between")
# What every text contains, and every text matches.
_EMPTY = {"contains": "text", "matches": "pattern"}
_OPPOSITES = {
    "equals": "not",
    "not": "equals",
    "in": "not_in",
    "not_in": "in",
    "above": "at_most",
    "at_least": "below",
    "below": "at_least",
    "at_most": "above",
}
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "null",
}


# For the `json_schema_extra` of a field that every response has.
ALWAYS: Final[dict[str, JsonValue]] = {"always": True}


class Misfit(NamedTuple):
    """A broken rule. Some rules cannot be expressed in JSON Schema."""

    path: Path
    rule: str
    hint: str = ""
    is_in_schema: bool = True


class Returned(BaseModel):
    """Base class of the models that drivers declare as `Returns`. A response may lack any field."""

    model_config = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class Kind:
    """The JSON types that a value may have; an empty set means any type.

    `items` is the kind of a list's values, and `range` limits numbers. With `series`, `all`, `any` and
    `count` check every series of a response. With `samples`, text is never a number.
    """

    types: frozenset[str] = frozenset()
    items: "Kind | None" = None
    series: bool = False
    samples: bool = False
    range: Range = UNLIMITED

    def may_be(self, *types: str) -> bool:
        return not self.types or not self.types.isdisjoint(types)

    @property
    def item_kind(self) -> "Kind":
        """The kind of the values that `all` and `any` check."""
        return Kind(self.types, samples=self.samples) if self.series else self.items or ANY

    def __str__(self) -> str:
        return " or ".join(_WORDS[one] for one in sorted(self.types))


ANY = Kind()
WHOLE_NUMBER = Kind(frozenset({"integer"}), range=Range(low=0))
TEXT = Kind(frozenset({"string"}))
LIST = Kind(frozenset({"array"}))


@dataclass(frozen=True, slots=True)
class Field:
    """`always`: every response has the field."""

    kind: Kind
    description: str = ""
    always: bool = False


@lru_cache(maxsize=256)
def read_returned_fields(arguments: type[BaseModel]) -> Mapping[str, Field] | None:
    """The fields that steps with these arguments return; None if the driver does not declare them."""
    declared = getattr(arguments, "Returns", None)
    if not (isinstance(declared, type) and issubclass(declared, BaseModel)):
        return None
    properties = declared.model_json_schema().get("properties", {})
    return {
        name: Field(_read_kind(schema), schema.get("description", ""), bool(schema.get("always")))
        for name, schema in properties.items()
    }


def _read_kind(schema: Mapping[str, Any]) -> Kind:
    alternatives = [one for one in schema.get("anyOf", [schema]) if isinstance(one, Mapping)]
    types: set[str] = set()
    items: Kind | None = None
    for one in alternatives:
        written = one.get("type")
        if not isinstance(written, str):
            return Kind(series=bool(schema.get("series")))
        types.add(written)
        if isinstance(one.get("items"), Mapping):
            items = _read_kind(one["items"])
    if "number" in types:
        types.discard("integer")
    return Kind(
        frozenset(types),
        items,
        bool(schema.get("series")),
        bool(schema.get("samples")),
        Range(schema.get("minimum"), schema.get("maximum")),
    )


def find_misfits(
    expect: Mapping[str, Any], arguments: type[BaseModel] | None, driver: str
) -> Iterator[Misfit]:
    """Yield what can never fail or never hold: unknown fields, unsuitable matchers and values."""
    returned = read_returned_fields(arguments) if arguments is not None else None
    for name, wanted in expect.items():
        if returned is not None and name not in returned:
            rule = f"{driver!r} does not return {format_value(name)}; it returns {', '.join(returned)}"
            yield Misfit((name,), rule, suggest(name, list(returned)))
        elif name == "json":
            yield from _check_queries(wanted)
        elif name == "headers":
            yield from _check_headers(wanted)
        else:
            declared = returned[name] if returned is not None else Field(ANY)
            yield from _check_exists(name, wanted, declared, driver)
            yield from _check_matchers(repr(name), (name,), wanted, declared.kind)


def _check_exists(name: str, wanted: Any, declared: Field, driver: str) -> Iterator[Misfit]:
    if declared.always and isinstance(wanted, Mapping) and wanted.get("exists") is False:
        rule = f"'exists: false' can never hold here: {driver!r} always returns {name!r}"
        yield Misfit((name, "exists"), rule, is_in_schema=False)


def _check_queries(wanted: Any) -> Iterator[Misfit]:
    for query, matchers in wanted.items() if isinstance(wanted, Mapping) else ():
        try:
            is_singular = compile_query(query).is_singular
        except (ValueError, TypeError):
            continue  # its own declaration reports it
        several = "" if is_singular else f"{query!r} may select several values"
        kind = ANY if is_singular else LIST
        for one in _check_matchers(f"JSON at {query!r}", ("json", query), matchers, kind):
            # JSON Schema cannot tell what a query selects.
            yield one._replace(hint=one.hint or several, is_in_schema=False)


def _check_headers(wanted: Any) -> Iterator[Misfit]:
    for name, matchers in wanted.items() if isinstance(wanted, Mapping) else ():
        if not _TOKEN.fullmatch(name):
            rule = f"{format_value(name)} is not a header name: use letters, digits and '-'"
            yield Misfit(("headers", name), rule, is_in_schema=False)
        yield from _check_matchers(f"header {name!r}", ("headers", name), matchers, TEXT)


def _check_matchers(subject: str, path: Path, wanted: Any, kind: Kind) -> Iterator[Misfit]:
    if not isinstance(wanted, Mapping):
        yield from _check_value(subject, path, wanted, kind)
        return
    for name, expected in wanted.items():
        place = (*path, name)
        if rule := _explain_unusable(name, subject, kind):
            yield Misfit(place, rule)
        elif name in kind.range.compared and (effect := predict_result(name, expected, kind.range)):
            verb = "always holds" if effect == "always" else "can never hold"
            rule = f"{name!r} {verb} here: {subject} is {kind.range}"
            yield Misfit(place, rule, is_in_schema=False)
        elif expected == "" and name in _EMPTY and kind.types == TEXT.types:
            rule = f"{name!r} always holds for an empty {_EMPTY[name]}"
            yield Misfit(place, rule, "write 'exists: true' to require any text", is_in_schema=False)
        elif name == "not" and _is_matcher_mapping(expected):
            yield _refuse_matcher(subject, place, expected, kind)
        else:
            yield from _check_matcher(name, subject, place, expected, kind)


def _check_matcher(name: str, subject: str, place: Path, expected: Any, kind: Kind) -> Iterator[Misfit]:
    if name in {"equals", "not"}:
        yield from _check_value(subject, place, expected, kind)
    elif name in {"in", "not_in"} and isinstance(expected, list):
        for index, one in enumerate(expected):
            yield from _check_value(subject, (*place, index), one, kind)
    elif name == "contains":
        yield from _check_part(subject, place, expected, kind)
    elif name in {"all", "any"}:
        yield from _refuse_exists(place, expected)
        yield from _check_matchers(f"each value of {subject}", place, expected, kind.item_kind)
    elif name == "count":
        yield from _refuse_exists(place, expected)
        yield from _check_matchers("the number of values", place, expected, WHOLE_NUMBER)


def _refuse_exists(place: Path, wanted: Any) -> Iterator[Misfit]:
    if isinstance(wanted, Mapping) and "exists" in wanted:
        rule = f"'exists' has no meaning under {place[-1]!r}: the values of a list always exist"
        yield Misfit((*place, "exists"), rule, "use 'count' to check how many there are", is_in_schema=False)


def _is_matcher_mapping(wanted: Any) -> bool:
    return isinstance(wanted, Mapping) and bool(wanted) and MATCHERS.issuperset(wanted)


def _refuse_matcher(subject: str, place: Path, wanted: Mapping[str, Any], kind: Kind) -> Misfit:
    """`not` compares values: it would read {above: 3} as a mapping with the key 'above'."""
    rule = f"'not' takes the value that {subject} must not be, not a matcher: {format_value(wanted)}"
    first = next(iter(wanted))
    hint = "to compare with a mapping, put it in a list under 'not_in'"
    if first == "exists":
        hint = "write 'exists: false' for a value that must be missing"
    elif first in _OPPOSITES:
        hint = f"the opposite of {first!r} is {_OPPOSITES[first]!r}"
    return Misfit(place, rule, hint, is_in_schema=not accepts_value(wanted, kind))


def accepts_matcher(name: str, kind: Kind) -> bool:
    """Whether the matcher holds for some values of the kind and not for others."""
    if name in _COMPARING:
        return kind.may_be(*_NUMERIC)
    if name == "matches":
        return kind.may_be("string")
    if name == "contains":
        return kind.may_be("string", "array", "object")
    if name in LIST_MATCHERS:
        return kind.series or kind.may_be("array")
    return True


def _explain_unusable(name: str, subject: str, kind: Kind) -> str:
    return "" if accepts_matcher(name, kind) else f"{name!r} can never hold here: {subject} is {kind}"


def _check_part(subject: str, path: Path, part: Any, kind: Kind) -> Iterator[Misfit]:
    if not kind.may_be("array") and not isinstance(part, str):
        rule = f"{subject} is {kind} and can never contain {format_value(part)}"
        yield Misfit(path, rule, _suggest_quotes(part))


def _check_value(subject: str, path: Path, value: Any, kind: Kind) -> Iterator[Misfit]:
    if is_templated(value):
        return
    if accepts_value(value, kind):
        yield from _check_number(subject, path, value, kind)
        return
    hint = _suggest_quotes(value) if kind.types == TEXT.types else ""
    if isinstance(value, str) and not kind.types.isdisjoint(_NUMERIC):
        hint = "write numbers without quotes"
    elif kind.types == LIST.types:
        hint = "write a list, or check its values with 'all', 'any', 'count' or 'contains'"
    yield Misfit(path, f"{subject} is {kind} and can never equal {format_value(value)}", hint)


def _check_number(subject: str, path: Path, value: Any, kind: Kind) -> Iterator[Misfit]:
    """Values of the right kind that can still never be equal: out of range, or a number as text."""
    if is_number(value) and value not in kind.range:
        rule = f"{subject} is {kind.range} and can never equal {format_value(value)}"
        yield Misfit(path, rule, is_in_schema=False)
    elif kind.samples and isinstance(value, str) and _is_finite_number(value):
        rule = (
            f"{subject} can never equal {format_value(value)}, which is text: numbers are returned as numbers"
        )
        yield Misfit(path, rule, "write numbers without quotes", is_in_schema=False)


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _suggest_quotes(value: Any) -> str:
    return f"put it in quotes: '{value}'" if isinstance(value, int | float) else ""


def accepts_value(value: Any, kind: Kind) -> bool:
    """Whether a value of this kind may equal `value`."""
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
