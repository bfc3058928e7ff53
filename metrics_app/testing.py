"""Assertions about recorded metrics, for your application's tests:

    from metrics_app.testing import assert_counted

    with assert_counted(orders, channel="web"):
        client.post("/orders", {"channel": "web"})

They read the in-memory adapter. If the process has another one, an in-memory one replaces it within the
block. Django's request middleware keeps the adapter it began with, so tests of its metrics set
METRICS["BACKEND"] to 'metrics_app.adapters.memory.InMemoryMetricsAdapter'.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from metrics_app import current
from metrics_app.adapters.conversion import to_text
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.instruments import Labelled

Metric = str | Labelled
"""What `metrics.counter` and the others return, or a name, as of the package's own metrics."""


@contextmanager
def recorded_metrics() -> Iterator[InMemoryMetricsAdapter]:
    """An adapter with everything that the block records."""
    found = current.adapter
    if isinstance(found, InMemoryMetricsAdapter):
        yield found
        return
    made = InMemoryMetricsAdapter()
    with current.replaced(made):
        yield made


@contextmanager
def assert_counted(metric: Metric, by: float = 1, **labels: object) -> Iterator[None]:
    """Check that the block adds this much to a counter, in all its series that have at least these labels.

    For a histogram, `by` is the number of values that the block observes.

    Raises:
        AssertionError: it adds another amount.
    """
    name = _find_name(metric)
    with recorded_metrics() as recorded:
        before = _count(recorded, name)
        yield
        added = {
            series: number - before.get(series, 0.0)
            for series, number in _count(recorded, name).items()
            if number != before.get(series, 0.0)
        }
    total = sum(number for series, number in added.items() if _has(series, labels))
    if total != by:
        seen = ", ".join(f"{_shown(name, dict(series))} {number:g}" for series, number in added.items())
        raise AssertionError(
            f"{_shown(name, labels)} was counted {total:g} times, not {by:g}; counted meanwhile: "
            f"{seen or 'nothing'}."
        )


@contextmanager
def assert_not_counted(metric: Metric, **labels: object) -> Iterator[None]:
    """Check that the block adds nothing to a counter, in any series that has these labels.

    Raises:
        AssertionError: it adds something.
    """
    with assert_counted(metric, by=0, **labels):
        yield


@contextmanager
def assert_observed(metric: Metric, *values: float, **labels: object) -> Iterator[None]:
    """Check that the block observes these values of a histogram, in this order, in one series.

    Raises:
        AssertionError: it observes others.
    """
    name, texts = _find_name(metric), {label: to_text(value) for label, value in labels.items()}
    with recorded_metrics() as recorded:
        before = len(recorded.observations(name, texts))
        yield
        observed = recorded.observations(name, texts)[before:]
    if observed != [float(value) for value in values]:
        raise AssertionError(f"{_shown(name, labels)} observed {observed!r}, not {list(values)!r}.")


@contextmanager
def assert_set(metric: Metric, value: float, **labels: object) -> Iterator[None]:
    """Check that a gauge has this value at the end of the block.

    Raises:
        AssertionError: it has another one, or none was set.
    """
    name, texts = _find_name(metric), {label: to_text(text) for label, text in labels.items()}
    with recorded_metrics() as recorded:
        yield
        found = recorded.value(name, texts) if recorded.observations(name, texts) else None
    if found != value:
        raise AssertionError(f"{_shown(name, labels)} is {found!r}, not {value!r}.")


Series = frozenset[tuple[str, str]]


def _count(recorded: InMemoryMetricsAdapter, name: str) -> dict[Series, float]:
    return {frozenset(labels.items()): number for labels, number in recorded.counted(name)}


def _has(series: Series, labels: Mapping[str, object]) -> bool:
    return {(label, to_text(value)) for label, value in labels.items()} <= series


def _find_name(metric: Metric) -> str:
    return metric if isinstance(metric, str) else metric.definition.name


def _shown(name: str, labels: Mapping[str, object]) -> str:
    text = ", ".join(f"{label}={to_text(value)!r}" for label, value in sorted(labels.items()))
    return f"{name}{{{text}}}" if text else name
