"""Finds the expectations of a document that can never hold or never fail."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel

from scenarios.domain.expectations import ANY_OF
from scenarios.domain.json_queries import compile_query
from scenarios.domain.matchers import MATCHERS, READ_AS, format_value, is_number
from scenarios.domain.ranges import predict_result
from scenarios.domain.results import (
    ANY,
    LIST,
    NUMBER,
    NUMERIC,
    TEXT,
    WHOLE_NUMBER,
    Field,
    Kind,
    accepts_matcher,
    accepts_value,
    read_returned_fields,
)
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import is_templated

Path = tuple[str | int, ...]
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
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


class Misfit(NamedTuple):
    """A broken rule. Some rules cannot be expressed in JSON Schema."""

    path: Path
    rule: str
    hint: str = ""
    is_in_schema: bool = True


def find_misfits(
    expect: Mapping[str, Any], arguments: type[BaseModel] | None, driver: str
) -> Iterator[Misfit]:
    """Yield what can never fail or never hold: unknown fields, unsuitable matchers and values."""
    alternatives = expect.get(ANY_OF)
    for index, alternative in enumerate(alternatives if isinstance(alternatives, list) else ()):
        for misfit in (
            _find_misfits(alternative, arguments, driver) if isinstance(alternative, Mapping) else ()
        ):
            yield misfit._replace(path=(ANY_OF, index, *misfit.path))
    yield from _find_misfits(
        {name: part for name, part in expect.items() if name != ANY_OF}, arguments, driver
    )


def _find_misfits(
    expect: Mapping[str, Any], arguments: type[BaseModel] | None, driver: str
) -> Iterator[Misfit]:
    returned = read_returned_fields(arguments) if arguments is not None else None
    for name, wanted in expect.items():
        if name == ANY_OF:
            rule = "'any_of' cannot be nested in 'any_of'"
            yield Misfit(
                (name,), rule, "write all expectations in one list", is_in_schema=returned is not None
            )
        elif returned is not None and name not in returned:
            rule = f"{driver!r} does not return {format_value(name)}; it returns {', '.join(returned)}"
            yield Misfit((name,), rule, suggest(name, [*returned, ANY_OF]))
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
        for misfit in _check_matchers(f"JSON at {query!r}", ("json", query), matchers, kind):
            # JSON Schema cannot tell what a query selects.
            yield misfit._replace(hint=misfit.hint or several, is_in_schema=False)


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
    if READ_AS in wanted:
        if not accepts_matcher(READ_AS, kind):
            rule = f"'as' reads text as a number, but {subject} is {kind}"
            yield Misfit((*path, READ_AS), rule, "remove it")
            return
        kind, wanted = NUMBER, {name: value for name, value in wanted.items() if name != READ_AS}
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
        for index, item in enumerate(expected):
            yield from _check_value(subject, (*place, index), item, kind)
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
        yield from _check_possible(subject, path, value, kind)
        return
    hint = _suggest_quotes(value) if kind.types == TEXT.types else ""
    if isinstance(value, str) and not kind.types.isdisjoint(NUMERIC):
        hint = "write numbers without quotes"
    elif kind.types == LIST.types:
        hint = "write a list, or check its values with 'all', 'any', 'count' or 'contains'"
    yield Misfit(path, f"{subject} is {kind} and can never equal {format_value(value)}", hint)


def _check_possible(subject: str, path: Path, value: Any, kind: Kind) -> Iterator[Misfit]:
    """Values of the right kind that can still never be equal: out of range, a number as text, or misspelt."""
    if is_number(value) and value not in kind.range:
        rule = f"{subject} is {kind.range} and can never equal {format_value(value)}"
        yield Misfit(path, rule, is_in_schema=False)
    elif kind.samples and isinstance(value, str) and _is_finite_number(value):
        rule = (
            f"{subject} can never equal {format_value(value)}, which is text: numbers are returned as numbers"
        )
        yield Misfit(path, rule, "write numbers without quotes", is_in_schema=False)
    elif kind.choices and isinstance(value, str) and value not in kind.choices:
        rule = f"{subject} can never equal {format_value(value)}: it is one of {', '.join(kind.choices)}"
        yield Misfit(path, rule, suggest(value, kind.choices), is_in_schema=False)


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _suggest_quotes(value: Any) -> str:
    return f"put it in quotes: '{value}'" if isinstance(value, int | float) else ""
