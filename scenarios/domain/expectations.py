"""Check what a step returned against `expect`."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.domain.json_queries import Budget, QueryTooLargeError, compile_query
from scenarios.domain.matchers import (
    LIST_MATCHERS,
    MISSING,
    READ_AS,
    LabelledValues,
    find_list_mismatches,
    find_mismatches,
    format_value,
    read_as_number,
)

__all__ = ["ANY_OF", "Expectations", "QueryTooLargeError", "format_value"]

# How many series a sentence names.
_MAX_SERIES = 3
_MAX_SERIES_LENGTH = 80
# The word with several expectations, of which one must hold.
ANY_OF = "any_of"
_COMPARING = frozenset({"above", "at_least", "below", "at_most", "between"})


@dataclass(frozen=True, slots=True)
class Expectations:
    """Fields and their matchers, as a valid document writes them under `expect`."""

    fields: Mapping[str, Any]

    def names(self, field: str) -> bool:
        """Whether every way to meet them says something about the field."""
        alternatives = self.fields.get(ANY_OF, ())
        return field in self.fields or (
            bool(alternatives) and all(field in alternative for alternative in alternatives)
        )

    def check(self, fields: Mapping[str, Any], budget: Budget | None = None) -> tuple[str, ...]:
        """Return a sentence for each mismatch; an empty tuple means that everything holds.

        Raises:
            QueryTooLargeError: the returned value is too large for these expectations.
        """
        return tuple(self._misses(fields, budget or Budget()))

    @property
    def compared(self) -> str:
        """The field or JSONPath that is compared with a number first; "" if none is, apart from `elapsed`."""
        return self._find_compared()[1]

    def read_number(self, fields: Mapping[str, Any], budget: Budget | None = None) -> float | None:
        """The number that is at `compared`; None if there is none.

        Raises:
            QueryTooLargeError: the returned value is too large for these expectations.
        """
        field, name = self._find_compared()
        if not name:
            return None
        wanted = self.fields["json"][name] if field == "json" else self.fields[field]
        found = fields.get(field)
        if field == "json" and found is not None:
            values = compile_query(name).values(found, budget or Budget())
            found = values[0] if len(values) == 1 else None
        if READ_AS in wanted:
            found = read_as_number(found)
        if isinstance(found, bool) or not isinstance(found, int | float):
            return None
        return float(found) if math.isfinite(found) else None

    def _find_compared(self) -> tuple[str, str]:
        for field, wanted in self.fields.items():
            if field == "json":
                if path := next((path for path, matchers in wanted.items() if _compares(matchers)), ""):
                    return field, path
            elif field != "elapsed" and _compares(wanted):
                return field, field
        return "", ""

    def _misses(self, fields: Mapping[str, Any], budget: Budget) -> Iterator[str]:
        for field, wanted in self.fields.items():
            if field == ANY_OF:
                yield from _check_alternatives(wanted, fields, budget)
            elif field == "json":
                yield from _check_json(wanted, fields, budget)
            elif field == "headers":
                yield from _check_headers(wanted, fields, budget)
            elif field == "value" and (series := _label_series(fields)) is not None:
                yield from _check_series(wanted, fields, series, budget)
            else:
                yield from find_mismatches(repr(field), wanted, fields.get(field, MISSING), budget)


def _check_alternatives(
    alternatives: Sequence[Mapping[str, Any]], fields: Mapping[str, Any], budget: Budget
) -> Iterator[str]:
    missed = []
    for number, alternative in enumerate(alternatives, start=1):
        misses = Expectations(alternative).check(fields, budget)
        if not misses:
            return
        missed.append(f"({number}) {', '.join(misses)}")
    yield f"none of the {len(missed)} expectations under 'any_of' holds: {' '.join(missed)}"


def _compares(matchers: Any) -> bool:
    return isinstance(matchers, Mapping) and not _COMPARING.isdisjoint(matchers)


def _check_json(wanted: Mapping[str, Any], fields: Mapping[str, Any], budget: Budget) -> Iterator[str]:
    document = fields.get("json", MISSING)
    for path, matchers in wanted.items():
        subject = f"JSON at {path!r}"
        if document is MISSING:
            # Without JSON, `exists: false` cannot hold either.
            yield f"there is no {subject}: the returned text is not JSON"
            continue
        query = compile_query(path)
        found = query.values(document, budget)
        value: Any = found if not query.is_singular else found[0] if found else MISSING
        if value == [] and not query.is_singular and isinstance(matchers, Mapping) and "exists" in matchers:
            # As in the filters of RFC 9535, a query exists if it selects anything.
            if matchers["exists"] is True:
                yield f"there is no {subject}"
            matchers = {name: expected for name, expected in matchers.items() if name != "exists"}  # noqa: PLW2901
        yield from find_mismatches(subject, matchers, value, budget)


def _check_headers(wanted: Mapping[str, Any], fields: Mapping[str, Any], budget: Budget) -> Iterator[str]:
    given = fields.get("headers")
    headers = (
        {str(name).lower(): value for name, value in given.items()} if isinstance(given, Mapping) else {}
    )
    for name, matchers in wanted.items():
        yield from find_mismatches(f"header {name!r}", matchers, headers.get(name.lower(), MISSING), budget)


def _label_series(fields: Mapping[str, Any]) -> LabelledValues | None:
    """The series of a Prometheus response with their labels; None for any other response."""
    samples = fields.get("samples")
    if not isinstance(samples, list) or not all(
        isinstance(sample, dict) and "metric" in sample for sample in samples
    ):
        return None
    return [(_format_labels(sample["metric"]), sample.get("value")) for sample in samples]


def _format_labels(metric: Any) -> str:
    labels = metric if isinstance(metric, Mapping) else {}
    text = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    series = f"{labels.get('__name__', '')}{{{text}}}"
    return series if len(series) <= _MAX_SERIES_LENGTH else series[: _MAX_SERIES_LENGTH - 1] + "…"


def _check_series(
    wanted: Any, fields: Mapping[str, Any], series: LabelledValues, budget: Budget
) -> Iterator[str]:
    """`value` belongs to a single series; `all`, `any` and `count` check every series."""
    matchers = wanted if isinstance(wanted, Mapping) else {"equals": wanted}
    of_one = {name: expected for name, expected in matchers.items() if name not in LIST_MATCHERS}
    for name, expected in matchers.items():
        if name in LIST_MATCHERS:
            yield from find_list_mismatches("'value'", name, expected, series, budget)
    if of_one and len(series) > 1:
        some = ", ".join(f"{labels} is {format_value(value)}" for labels, value in series[:_MAX_SERIES])
        more = f" and {len(series) - _MAX_SERIES} more" if len(series) > _MAX_SERIES else ""
        yield (
            f"there is no single 'value': the query found {len(series)} series, {some}{more}; aggregate them "
            "in the query, for example with 'max(…)', or check all of them with 'all', 'any' or 'count'"
        )
    elif of_one:
        yield from find_mismatches("'value'", of_one, fields.get("value", MISSING), budget)
