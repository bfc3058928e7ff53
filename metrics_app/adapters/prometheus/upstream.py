"""The only module that changes prometheus_client: its metrics get values that are stored in slots.

It relies on the following: every new metric looks up `prometheus_client.values.ValueClass`, and calls it with
type, names, labels and help; a metric keeps its values in attributes, or in lists in attributes, and makes
them in `_metric_init`. `contract_fault` says whether the installed release is like that.
"""

import copy
import gc
from collections.abc import Callable, Iterator
from functools import cache, wraps
from threading import Lock
from typing import Any

from prometheus_client import REGISTRY, Counter, Gauge, Histogram, Summary, values
from prometheus_client.metrics import MetricWrapperBase

from metrics_app.adapters.prometheus.folder import MAGIC_WITH_BASELINES
from metrics_app.adapters.prometheus.library_values import Library, LibraryStore, LibraryValue, library

_installing = Lock()


@cache
def contract_fault() -> str | None:
    """How the installed prometheus_client differs from what this module relies on; None if it does not."""
    try:
        return _difference()
    except Exception as error:  # noqa: BLE001 - whatever a future release raises
        return f"{type(error).__name__}: {error}"


def install(find_store: Callable[[], LibraryStore | None]) -> None:
    """Store all metrics of prometheus_client by `find_store`, including those that were made before.

    If the installed release differs from what this module expects, nothing is changed.
    """
    if contract_fault() is not None:
        return
    with _installing:
        library.find_store = find_store
        if values.ValueClass is not LibraryValue:
            values.ValueClass = LibraryValue
            _follow_removals()
            for metric in _existing_metrics():
                _adopt(metric)
    if library.has_recorded():
        library.bind()


def _follow_removals() -> None:
    """When a library removes series of a metric, remove them from the files of all processes."""
    stock_remove, stock_clear = MetricWrapperBase.remove, MetricWrapperBase.clear

    @wraps(stock_remove)
    def remove(metric: Any, *label_values: Any) -> None:
        stock_remove(metric, *label_values)
        names_and_values = zip(metric._labelnames, map(str, label_values), strict=True)  # noqa: SLF001
        library.remove(metric._name, dict(names_and_values))  # noqa: SLF001

    @wraps(stock_clear)
    def clear(metric: Any) -> None:
        stock_clear(metric)
        if metric._labelnames:  # noqa: SLF001
            library.remove(metric._name, {})  # noqa: SLF001

    replaced: dict[str, Any] = {"remove": remove, "clear": clear}
    stock_remove_some = getattr(MetricWrapperBase, "remove_by_labels", None)  # since 0.23
    if stock_remove_some is not None:

        @wraps(stock_remove_some)
        def remove_by_labels(metric: Any, labels: dict[str, str]) -> None:
            stock_remove_some(metric, labels)
            if labels:
                library.remove(metric._name, {name: str(value) for name, value in labels.items()})  # noqa: SLF001

        replaced["remove_by_labels"] = remove_by_labels
    for name, method in replaced.items():
        setattr(MetricWrapperBase, name, method)


def collectors_without_files() -> list[Any]:
    """The collectors of the default registry that no file holds, and gauges that call a function."""
    if values.ValueClass is not LibraryValue:
        return []
    registered = list(REGISTRY._collector_to_names)  # noqa: SLF001
    return [
        collector
        for collector in registered
        if not isinstance(collector, MetricWrapperBase) or not _is_stored(collector)
    ]


def _is_stored(metric: MetricWrapperBase) -> bool:
    observable = list(getattr(metric, "_metrics", {}).values()) or [metric]
    # A function that a gauge calls replaces this method in the object.
    if any("_child_samples" in vars(child) for child in observable):
        return False
    return isinstance(metric, Counter | Gauge | Histogram | Summary)


def _difference() -> str | None:
    made: list[tuple[Any, ...]] = []

    class Recorded(LibraryValue):
        __slots__ = ()
        library = Library()  # without a process, so that these are never stored

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            made.append((*arguments, *keywords.items()))
            super().__init__(*arguments, **keywords)

    stock, values.ValueClass = values.ValueClass, Recorded
    try:
        metrics = [
            Counter("a", "help", ["x"], registry=None).labels("1"),
            Gauge("b", "help", registry=None, multiprocess_mode="livesum"),
            Summary("c", "help", registry=None),
            Histogram("d", "help", buckets=[1], registry=None),
        ]
    finally:
        values.ValueClass = stock
    expected = [
        ("counter", "a", "a_total", ("x",), ("1",), "help"),
        ("gauge", "b", "b", (), (), "help", ("multiprocess_mode", "livesum")),
        ("summary", "c", "c_count", (), (), "help"),
        ("summary", "c", "c_sum", (), (), "help"),
        ("histogram", "d", "d_sum", (), (), "help"),
        ("histogram", "d", "d_bucket", ("le",), ("1.0",), "help"),
        ("histogram", "d", "d_bucket", ("le",), ("+Inf",), "help"),
    ]
    if made != expected:
        return "the values of a metric are made in another way"
    if [len(list(_values_in(metric))) for metric in metrics] != [1, 1, 2, 2]:
        return "a metric keeps its values elsewhere"
    if (metrics[0]._name, metrics[0]._labelnames) != ("a", ("x",)):  # noqa: SLF001
        return "a metric keeps its name elsewhere"
    return None


def _existing_metrics() -> list[MetricWrapperBase]:
    """Every metric that was made so far, in any registry, and each of its label sets."""
    kinds: dict[type, bool] = {}
    found: list[Any] = []
    # Frozen objects (gc.freeze) are not in the list.
    collectors = list(REGISTRY._collector_to_names)  # noqa: SLF001
    registered = [collector for collector in collectors if isinstance(collector, MetricWrapperBase)]
    children = [child for parent in registered for child in list(getattr(parent, "_metrics", {}).values())]
    # Not by isinstance(), which asks lazy objects for their class and so evaluates them.
    for candidate in [*gc.get_objects(), *registered, *children]:
        kind = type(candidate)
        if kind not in kinds:
            kinds[kind] = MetricWrapperBase in kind.__mro__
        if kinds[kind]:
            found.append(candidate)
    return list({id(metric): metric for metric in found}.values())


def _values_in(metric: MetricWrapperBase) -> Iterator[tuple[str, list[Any]]]:
    """The attributes of a metric that are values, or lists of values."""
    for name, attribute in list(vars(metric).items()):
        held = attribute if isinstance(attribute, list) else [attribute]
        if held and all(hasattr(type(value), "_multiprocess") for value in held):
            yield name, held


def _adopt(metric: MetricWrapperBase) -> None:
    """Replace a metric's values by values of the new class, with the earlier counts."""
    former = {
        name: held for name, held in _values_in(metric) if not any(isinstance(v, LibraryValue) for v in held)
    }
    if not former:
        return
    # Made in a copy and exchanged at once, because another thread may record meanwhile.
    twin = copy.copy(metric)
    twin._metric_init()  # noqa: SLF001
    for name, held in former.items():
        made = vars(twin)[name]
        vars(metric)[name] = made
        for old, new in zip(held, made if isinstance(made, list) else [made], strict=True):
            _move(old, new)


def _move(old: Any, new: LibraryValue) -> None:
    counted = old.get()
    if old.get_exemplar() is not None:
        new.set_exemplar(old.get_exemplar())
    if type(old)._multiprocess:  # noqa: SLF001
        _retire(old, counted)
    if not counted:
        return
    if new.prefix.startswith("gauge"):
        new.set(counted, getattr(old, "_timestamp", None))
    else:
        new.inc(counted)


def _retire(old: Any, counted: float) -> None:
    """Hide a value in prometheus_client's own file of this process, because it is now stored elsewhere."""
    old._file._m[4:8] = MAGIC_WITH_BASELINES  # noqa: SLF001 - four bytes that are free there
    mode = old._params[-1]  # noqa: SLF001 - empty for what is not a gauge
    # prometheus_client's own collector does not know baselines, so values that it adds up become zero.
    left = 0.0 if not mode or mode.endswith("sum") else counted
    old._file.write_value(old._key, left, 0.0 if mode.endswith("mostrecent") else left or -0.0)  # noqa: SLF001
