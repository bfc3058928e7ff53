"""What a probe must have returned."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jsonpath import JSONPathError

from scenarios.domain.patterns import compiled_path, compiled_pattern

_LONGEST_SHOWN = 120
# A search in more than this could keep the whole run waiting.
_MOST_SEARCHED = 64 * 1024


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Expectations:
    """Fields and their matchers, as a valid document writes them under `expect`."""

    fields: Mapping[str, Any]

    def check(self, fields: Mapping[str, Any]) -> tuple[str, ...]:
        """A sentence for each thing that does not hold; none means that all hold."""
        return tuple(self._misses(fields))

    def _misses(self, fields: Mapping[str, Any]) -> Iterator[str]:
        for field, wanted in self.fields.items():
            if field == "json":
                yield from _json_misses(wanted, fields)
            elif field == "headers":
                yield from _header_misses(wanted, fields)
            else:
                yield from _value_misses(repr(field), wanted, fields.get(field, MISSING))


def _json_misses(wanted: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    document = fields.get("json", MISSING)
    for path, matchers in wanted.items():
        try:
            value = MISSING if document is MISSING else _value_at(path, document)
        except (ValueError, JSONPathError, RecursionError) as error:
            yield f"the JSON at {path!r} cannot be read: {error}"
            continue
        yield from _value_misses(f"JSON at {path!r}", matchers, value)


def _value_at(path: str, document: Any) -> Any:
    """One node's value, several nodes' values as a list, or MISSING."""
    values = compiled_path(path).findall(document) if isinstance(document, dict | list) else []
    if path == "$":
        return document
    return (values[0] if len(values) == 1 else values) if values else MISSING


def _header_misses(wanted: Mapping[str, Any], fields: Mapping[str, Any]) -> Iterator[str]:
    given = fields.get("headers")
    headers = (
        {str(name).lower(): value for name, value in given.items()} if isinstance(given, Mapping) else {}
    )
    for name, matchers in wanted.items():
        yield from _value_misses(f"header {name!r}", matchers, headers.get(name.lower(), MISSING))


def _value_misses(subject: str, wanted: Any, value: Any) -> Iterator[str]:
    matchers = wanted if isinstance(wanted, Mapping) else {"equals": wanted}
    if value is MISSING:
        if any(name != "exists" or expected is True for name, expected in matchers.items()):
            yield f"there is no {subject}"
        return
    for name, expected in matchers.items():
        if miss := _MATCHERS[name](value, expected):
            yield f"{subject} {miss}"


def _same(value: Any, other: Any) -> bool:
    """Equality of JSON values: true is not 1, as it is in Python, at any depth."""
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return value.keys() == other.keys() and all(_same(value[key], other[key]) for key in value)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return len(value) == len(other) and all(map(_same, value, other))
    return bool(value == other)


def _equals(value: Any, expected: Any) -> str:
    return "" if _same(value, expected) else f"is {shown(value)}, not {shown(expected)}"


def _not(value: Any, unwanted: Any) -> str:
    return f"is {shown(value)}, which it must not be" if _same(value, unwanted) else ""


def _in(value: Any, choices: Any) -> str:
    return "" if any(_same(value, one) for one in choices) else f"is {shown(value)}, none of {shown(choices)}"


def _not_in(value: Any, choices: Any) -> str:
    return f"is {shown(value)}, one of {shown(choices)}" if any(_same(value, one) for one in choices) else ""


def _comparison(words: str, holds: Callable[[float, float], bool]) -> Callable[[Any, Any], str]:
    def compare(value: Any, limit: Any) -> str:
        if not _is_number(value):
            return f"is {shown(value)}, which is no number and cannot be {words} {shown(limit)}"
        return "" if holds(value, limit) else f"is {shown(value)}, not {words} {shown(limit)}"

    return compare


def _between(value: Any, limits: Any) -> str:
    low, high = limits
    if not _is_number(value):
        return f"is {shown(value)}, which is no number and cannot be between {shown(low)} and {shown(high)}"
    return "" if low <= value <= high else f"is {shown(value)}, not between {shown(low)} and {shown(high)}"


def _matches(value: Any, pattern: Any) -> str:
    if not isinstance(value, str):
        return f"is {shown(value)}, which is no text and cannot match {shown(pattern)}"
    # Half of a surrogate pair, which JSON can bring along, has no UTF-8 form to search in.
    searched = value[:_MOST_SEARCHED].encode("utf-8", "replace").decode("utf-8")
    if compiled_pattern(pattern).search(searched):
        return ""
    return f"is {shown(value)}, which does not match {shown(pattern)}"


def _contains(value: Any, part: Any) -> str:
    if isinstance(value, str) and isinstance(part, str):
        return "" if part in value else f"is {shown(value)}, which does not contain {shown(part)}"
    if isinstance(value, Mapping):
        return "" if part in [*value] else f"has no key {shown(part)}: it is {shown(value)}"
    if isinstance(value, list | tuple):
        return "" if any(_same(one, part) for one in value) else f"is {shown(value)}, without {shown(part)}"
    return f"is {shown(value)}, which cannot contain {shown(part)}"


def _exists(value: Any, expected: Any) -> str:
    return "" if expected else f"exists, and it must not: it is {shown(value)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """As JSON would write it where it can, with texts in single quotes; cut when it is long."""
    if isinstance(value, str):
        text = repr(value[: _LONGEST_SHOWN + 1])
    else:
        # Cut while it is made: a list of a million numbers must not become a text of megabytes first.
        parts: list[str] = []
        length = 0
        for part in json.JSONEncoder(ensure_ascii=False, default=repr).iterencode(value):
            parts.append(part)
            length += len(part)
            if length > _LONGEST_SHOWN:
                break
        text = "".join(parts)
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"


_MATCHERS: Final[Mapping[str, Callable[[Any, Any], str]]] = {
    "equals": _equals,
    "not": _not,
    "in": _in,
    "not_in": _not_in,
    "above": _comparison("above", lambda value, limit: value > limit),
    "at_least": _comparison("at least", lambda value, limit: value >= limit),
    "below": _comparison("below", lambda value, limit: value < limit),
    "at_most": _comparison("at most", lambda value, limit: value <= limit),
    "between": _between,
    "matches": _matches,
    "contains": _contains,
    "exists": _exists,
}
