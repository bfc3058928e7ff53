"""Matchers check one value, and report each mismatch as a sentence."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from scenarios.domain.json_queries import Budget, are_equal
from scenarios.domain.patterns import compile_pattern

_MAX_SHOWN_LENGTH = 120
_MAX_SHOWN_DEPTH = 20
# Searching a longer text could delay the whole run.
_MAX_SEARCHED = 64 * 1024
# How many mismatches of a list a sentence names.
_MAX_NAMED = 3
_DECIMALS = 3
# Matchers that check the values of a list, not the list itself.
LIST_MATCHERS = frozenset({"all", "any", "count"})
# How the value is read before the other matchers check it.
READ_AS = "as"
_MAX_NUMBER_LENGTH = 200
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?")


class _Missing:
    def __repr__(self) -> str:
        return "nothing"


MISSING: Final = _Missing()
# The values of a list, each with its label.
LabelledValues = Sequence[tuple[str, Any]]


def find_mismatches(subject: str, wanted: Any, value: Any, budget: Budget) -> Iterator[str]:
    """Yield a sentence for each matcher that the value does not meet."""
    matchers = wanted if isinstance(wanted, Mapping) else {"equals": wanted}
    if value is MISSING:
        if any(name != "exists" or expected is True for name, expected in matchers.items()):
            yield f"there is no {subject}"
        return
    if READ_AS in matchers:
        number = read_as_number(value)
        if number is None:
            yield f"{subject} is {format_value(value)}, which cannot be read as a number"
            return
        value, matchers = number, {name: expected for name, expected in matchers.items() if name != READ_AS}
    yield from _check_matchers(subject, matchers, value, budget)


def _check_matchers(subject: str, matchers: Mapping[str, Any], value: Any, budget: Budget) -> Iterator[str]:
    for name, expected in matchers.items():
        if name in LIST_MATCHERS:
            yield from _check_list(subject, name, expected, value, budget)
        elif name in _VALUE_MATCHERS:
            if miss := _VALUE_MATCHERS[name](value, expected, budget):
                yield f"{subject} {miss}"
        elif miss := _SCALAR_MATCHERS[name](value, expected):
            yield f"{subject} {miss}"


def read_as_number(value: Any) -> int | float | None:
    """The number that a text consists of, apart from white space; None if it is something else."""
    if is_number(value):
        found: int | float = value
        return found
    text = value.strip() if isinstance(value, str) and len(value) <= _MAX_NUMBER_LENGTH else ""
    if not _NUMBER.fullmatch(text):
        return None
    number = int(text) if _WHOLE.fullmatch(text) else float(text)
    return number if math.isfinite(number) else None


def _check_list(subject: str, name: str, wanted: Any, value: Any, budget: Budget) -> Iterator[str]:
    if not isinstance(value, list | tuple):
        found = format_value(value)
        yield f"{subject} is {found}, not a list; {name!r} checks the values of a list"
        return
    named = [(f"[{index}]", item) for index, item in enumerate(value)]
    yield from find_list_mismatches(subject, name, wanted, named, budget)


def find_list_mismatches(
    subject: str, name: str, wanted: Any, named: LabelledValues, budget: Budget
) -> Iterator[str]:
    """Like `find_mismatches`, for one of LIST_MATCHERS. An empty list meets neither `all` nor `any`."""
    if name == "count":
        yield from find_mismatches(f"the number of values of {subject}", wanted, len(named), budget)
        return
    if not named:
        yield f"{subject} has no values, so {name!r} does not hold"
        return
    budget.spend(len(named))
    misses = [list(find_mismatches(label, wanted, value, budget)) for label, value in named]
    found = [sentences[0] for sentences in misses if sentences]
    if name == "all" and found:
        yield f"{len(found)} of {len(named)} values of {subject} do not match: {_join_first(found)}"
    elif name == "any" and len(found) == len(named):
        yield f"none of the {len(named)} values of {subject} matches: {_join_first(found)}"


def _join_first(sentences: Sequence[str]) -> str:
    more = len(sentences) - _MAX_NAMED
    return "; ".join(sentences[:_MAX_NAMED]) + (f"; and {more} more" if more > 0 else "")


def _equals(value: Any, expected: Any, budget: Budget) -> str:
    return (
        ""
        if are_equal(value, expected, budget)
        else f"is {_format_beside(value, expected)}, not {format_value(expected)}"
    )


def _not(value: Any, unwanted: Any, budget: Budget) -> str:
    if _is_nan(value) and is_number(unwanted):
        return f"is NaN and cannot be compared with {format_value(unwanted)}"
    return f"must not be {format_value(value)}" if are_equal(value, unwanted, budget) else ""


def _in(value: Any, choices: Any, budget: Budget) -> str:
    found = any(are_equal(value, choice, budget) for choice in choices)
    return "" if found else f"is {format_value(value)}, not one of {format_value(choices)}"


def _not_in(value: Any, choices: Any, budget: Budget) -> str:
    if _is_nan(value) and any(is_number(choice) for choice in choices):
        return f"is NaN and cannot be compared with {format_value(choices)}"
    found = any(are_equal(value, choice, budget) for choice in choices)
    return f"is {format_value(value)}, but must not be one of {format_value(choices)}" if found else ""


def _contains(value: Any, part: Any, budget: Budget) -> str:
    if isinstance(value, str) and isinstance(part, str):
        return (
            "" if part in value else f"is {format_value(value)}, which does not contain {format_value(part)}"
        )
    if isinstance(value, Mapping):
        is_key = isinstance(part, str) and part in value
        return "" if is_key else f"has no key {format_value(part)}; it is {format_value(value)}"
    if isinstance(value, list | tuple):
        budget.spend(len(value))
        found = any(are_equal(item, part, budget) for item in value)
        return "" if found else f"is {format_value(value)}, which does not contain {format_value(part)}"
    return f"is {format_value(value)}, which cannot contain {format_value(part)}"


def _build_comparison(words: str, holds: Callable[[float, float], bool]) -> Callable[[Any, Any], str]:
    def compare(value: Any, limit: Any) -> str:
        if not is_number(value):
            return (
                f"is {format_value(value)}, which is not a number and cannot be {words} {format_value(limit)}"
            )
        return (
            ""
            if holds(value, limit)
            else f"is {_format_beside(value, limit)}, not {words} {format_value(limit)}"
        )

    return compare


def _between(value: Any, limits: Any) -> str:
    low, high = limits
    if not is_number(value):
        limits = f"{format_value(low)} and {format_value(high)}"
        return f"is {format_value(value)}, which is not a number and cannot be between {limits}"
    if low <= value <= high:
        return ""
    return f"is {_format_beside(value, low, high)}, not between {format_value(low)} and {format_value(high)}"


def _matches(value: Any, pattern: Any) -> str:
    if not isinstance(value, str):
        return f"is {format_value(value)}, which is not text and cannot match {format_value(pattern)}"
    # JSON may contain half of a surrogate pair, which has no UTF-8 form to search in.
    searched = value[:_MAX_SEARCHED].encode("utf-8", "replace").decode("utf-8")
    if compile_pattern(pattern).search(searched):
        return ""
    return f"is {format_value(value)}, which does not match {format_value(pattern)}"


def _exists(value: Any, expected: Any) -> str:
    return "" if expected else f"must not exist, but it is {format_value(value)}"


def _is_nan(value: Any) -> bool:
    """Whether the value is NaN, which Prometheus returns as text. It is no evidence that a number differs."""
    return value == "NaN" or (isinstance(value, float) and math.isnan(value))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _format_beside(value: Any, *limits: Any) -> str:
    """Like `format_value`, but exact if the rounded value would equal one of the limits."""
    if isinstance(value, float) and any(is_number(limit) and _round(value) == limit for limit in limits):
        return repr(value)
    return format_value(value)


def _round(number: float) -> float:
    if not math.isfinite(number):
        return number
    return round(number, _DECIMALS) if abs(number) >= 1 else float(f"{number:.{_DECIMALS}g}")


def format_value(value: Any) -> str:
    """The value as JSON, with text in single quotes, numbers rounded, and shortened if it is long."""
    if isinstance(value, str):
        text = repr(value[: _MAX_SHOWN_LENGTH + 1])
    else:
        # Shortened while it is written: a list of a million numbers must not become megabytes of text first.
        parts: list[str] = []
        length = 0
        for part in _write(value, 0):
            parts.append(part)
            length += len(part)
            if length > _MAX_SHOWN_LENGTH:
                break
        text = "".join(parts)
    return text if len(text) <= _MAX_SHOWN_LENGTH else text[: _MAX_SHOWN_LENGTH - 1] + "…"


def _write(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, float):
        yield repr(_round(value))
    elif isinstance(value, str):
        yield json.dumps(value[: _MAX_SHOWN_LENGTH + 1], ensure_ascii=False)
    elif value is None or isinstance(value, bool | int):
        yield json.dumps(value)
    elif depth > _MAX_SHOWN_DEPTH:
        yield "…"
    elif isinstance(value, Mapping):
        begin = "{"
        for name, part in value.items():
            yield f"{begin}{json.dumps(str(name)[: _MAX_SHOWN_LENGTH + 1], ensure_ascii=False)}: "
            yield from _write(part, depth + 1)
            begin = ", "
        yield "{}" if begin == "{" else "}"
    elif isinstance(value, list | tuple):
        begin = "["
        for part in value:
            yield begin
            yield from _write(part, depth + 1)
            begin = ", "
        yield "[]" if begin == "[" else "]"
    else:
        yield repr(value)


_VALUE_MATCHERS: Final[Mapping[str, Callable[[Any, Any, Budget], str]]] = {
    "equals": _equals,
    "not": _not,
    "in": _in,
    "not_in": _not_in,
    "contains": _contains,
}
_SCALAR_MATCHERS: Final[Mapping[str, Callable[[Any, Any], str]]] = {
    "above": _build_comparison("above", lambda value, limit: value > limit),
    "at_least": _build_comparison("at least", lambda value, limit: value >= limit),
    "below": _build_comparison("below", lambda value, limit: value < limit),
    "at_most": _build_comparison("at most", lambda value, limit: value <= limit),
    "between": _between,
    "matches": _matches,
    "exists": _exists,
}
MATCHERS = {READ_AS} | LIST_MATCHERS | _VALUE_MATCHERS.keys() | _SCALAR_MATCHERS.keys()
