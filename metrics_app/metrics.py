"""An app's own metrics, declared where a module is imported:

    from metrics_app import metrics

    orders = metrics.counter("orders_total", "Orders placed.", labels=("channel",))
    orders.labels(channel="web").inc(3)

A wrong declaration raises at once. A wrong recording is handled as the setting ON_MISUSE says, and fails no
request in production.
"""

import math
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from threading import RLock
from typing import TypeVar, cast

from metrics_app import current
from metrics_app.adapters.conversion import to_number
from metrics_app.adapters.names import (
    METRIC_NAME,
    base_name,
    check_declared_labels,
    check_declared_name,
    reserve,
)
from metrics_app.catalogue import CATALOGUE, REQUEST_BUCKETS, Definition, Kind, Merge
from metrics_app.instruments import Counter, Gauge, Histogram, Instrument
from metrics_app.ports import GaugeSample, MetricDeclarationError, MetricsError

__all__ = ["Counter", "Gauge", "Histogram", "counter", "gauge", "histogram", "read_at_scrape"]

PACKAGE = str(Path(__file__).parent)
MERGES = {merge.name.lower(): merge for merge in Merge}

Read = TypeVar("Read", bound=Callable[[], Iterable[GaugeSample]])

_lock = RLock()
_instruments: dict[str, Instrument] = {}
_places: dict[str, tuple[str, int]] = {}


def counter(name: str, help: str, labels: Sequence[str] = ()) -> Counter:  # noqa: A002 - the field's word
    """Declare a counter; its name is exposed with '_total' at the end.

    Raises:
        MetricsError: the declaration is wrong, or contradicts another one.
    """
    check_declared_name(name)
    total = f"{name.removesuffix('_total')}_total"
    return cast("Counter", _declare(Counter, total, Kind.COUNTER, help, labels))


def gauge(name: str, help: str, labels: Sequence[str] = (), merge: str = "last") -> Gauge:  # noqa: A002 - as above
    """Declare a gauge.

    `merge` says how the values of several processes become one: 'last', 'sum', 'max' or 'min', each also with
    '_of_living', which leaves out processes that have ended.

    Raises:
        MetricsError: the declaration is wrong, or contradicts another one.
    """
    if merge not in MERGES:
        raise MetricDeclarationError(
            f"{name!r} cannot be merged by {merge!r}; choose one of {', '.join(map(repr, MERGES))}."
        )
    return cast("Gauge", _declare(Gauge, name, Kind.GAUGE, help, labels, merge=MERGES[merge]))


def histogram(
    name: str,
    help: str,  # noqa: A002 - as above
    labels: Sequence[str] = (),
    buckets: Sequence[float] | None = None,
) -> Histogram:
    """Declare a histogram; `buckets` are ascending upper bounds, by default those of request durations in
    seconds.

    Raises:
        MetricsError: the declaration is wrong, or contradicts another one.
    """
    bounds = REQUEST_BUCKETS if buckets is None else _read_buckets(name, buckets)
    return cast("Histogram", _declare(Histogram, name, Kind.HISTOGRAM, help, labels, buckets=bounds))


def read_at_scrape(read: Read) -> Read:
    """Call the function at each scrape; it returns or yields samples of gauges: `gauge.sample(…)`.

    It runs in a separate thread; all such functions together have half a second. Functions that have not
    returned by then are left out and counted in `metrics_scrape_gauges_failures_total`.
    """
    current.register_scrape_gauges(read)
    return read


def _declare(
    made: type[Instrument],
    name: str,
    kind: Kind,
    help_text: str,
    labels: Sequence[str],
    *,
    buckets: tuple[float, ...] = (),
    merge: Merge = Merge.LAST,
) -> Instrument:
    check_declared_name(name)
    if not isinstance(help_text, str) or not help_text.strip():
        raise MetricDeclarationError(f"{name!r} has the help {help_text!r}; say what it measures.")
    # Names with dots are those of OpenTelemetry, which appends nothing to the name of a counter.
    otlp_name = "" if METRIC_NAME.fullmatch(name) else base_name(name, kind)
    definition = Definition(
        name, kind, help_text, _read_labels(name, labels), buckets, merge, otlp_name=otlp_name
    )
    place = _find_place()
    with _lock:
        known = CATALOGUE.get(name)
        if known is not None:
            _check_same(known, definition, place)
            return _instruments[name]
        _check_beside(definition, place)
        reserve(definition)
        CATALOGUE[name] = definition
        _places[name] = place
        _instruments[name] = made(definition)
        return _instruments[name]


def _check_same(known: Definition, definition: Definition, place: tuple[str, int]) -> None:
    name = definition.name
    if name not in _places:
        raise MetricDeclarationError(
            f"{name!r} at {_shown(place)} is a metric of this package; choose another name."
        )
    for field in ("kind", "help", "label_names", "buckets", "merge"):
        before, now = getattr(known, field), getattr(definition, field)
        if before != now:
            raise MetricDeclarationError(
                f"{name!r} is declared with {FIELDS[field]} {_plain(now)!r} at {_shown(place)}, but with "
                f"{_plain(before)!r} at {_shown(_places[name])}; declare it once, or the same way."
            )


FIELDS = {
    "kind": "the type",
    "help": "the help",
    "label_names": "the labels",
    "buckets": "the buckets",
    "merge": "the merge",
}


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Kind | Merge) else value


def _check_beside(definition: Definition, place: tuple[str, int]) -> None:
    """A counter 'x_total' may stand beside a gauge 'x' where no process can have one without the other."""
    base = base_name(definition.name, definition.kind)
    beside = CATALOGUE.get(base)
    if definition.kind is Kind.COUNTER and beside is not None and beside.kind is Kind.GAUGE:
        other = _places.get(base)
        if other is None or other[0] != place[0]:
            raise MetricDeclarationError(
                f"{definition.name!r} at {_shown(place)} has the name of the gauge {base!r}"
                f"{f' at {_shown(other)}' if other else ''}; declare both in one module, the gauge first, or "
                f"choose another name."
            )


def _read_labels(name: str, labels: Sequence[str]) -> tuple[str, ...]:
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise MetricDeclarationError(
            f"{name!r} has the labels {labels!r}; give a tuple of names, as in ('channel',)."
        )
    names = tuple(labels)
    check_declared_labels(name, names)
    if len(set(names)) < len(names):
        raise MetricDeclarationError(f"{name!r} has the labels {names!r}; give each label once.")
    return names


def _read_buckets(name: str, buckets: Sequence[float]) -> tuple[float, ...]:
    """The bounds without infinity, which every histogram has anyway."""
    rule = f"{name!r} has the buckets {buckets!r}; give numbers in ascending order, as in (1, 5, 10)."
    try:
        bounds = [to_number(bound) for bound in buckets]
    except (MetricsError, TypeError) as error:
        raise MetricDeclarationError(rule) from error
    if bounds and bounds[-1] == math.inf:
        del bounds[-1]
    if (
        not bounds
        or not all(map(math.isfinite, bounds))
        or any(low >= high for low, high in pairwise(bounds))
    ):
        raise MetricDeclarationError(rule)
    return tuple(bounds)


def _find_place() -> tuple[str, int]:
    """The file and line, outside this package, that declares a metric."""
    for frame, line in traceback.walk_stack(sys._getframe(1)):  # noqa: SLF001 - as the standard library does
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return frame.f_code.co_filename, line
    return "?", 0


def _shown(place: tuple[str, int]) -> str:
    return f"{place[0]}:{place[1]}"
