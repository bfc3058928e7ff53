"""The names of metrics and labels. Each name under which a metric is exposed belongs to one metric."""

import re
from collections.abc import Collection, Iterable, Mapping

from metrics_app.catalogue import CATALOGUE, Definition, Kind
from metrics_app.ports import InvalidMetricNameError, MetricKindError, MetricLabelsError

METRIC_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
LABEL_NAME = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")
RESERVED_LABELS = frozenset({"le", "pid", "worker"})

TAKEN_LABELS = RESERVED_LABELS.union(*[definition.label_names for definition in CATALOGUE.values()])
"""What no constant or extra label may be called: metrics of this app have labels of these names."""

SUFFIXES = {
    Kind.COUNTER: ("_total", "_created"),
    Kind.HISTOGRAM: ("_bucket", "_sum", "_count", "_created"),
    Kind.GAUGE: (),
}
"""What OpenMetrics appends to the name of a metric for its samples."""

RUNTIME = {
    "process_cpu_seconds_total": Kind.COUNTER,
    "process_virtual_memory_bytes": Kind.GAUGE,
    "process_resident_memory_bytes": Kind.GAUGE,
    "process_threads": Kind.GAUGE,
    "process_start_time_seconds": Kind.GAUGE,
    "process_open_fds": Kind.GAUGE,
    "process_max_fds": Kind.GAUGE,
    "python_gc_collections_total": Kind.COUNTER,
    "python_gc_objects_collected_total": Kind.COUNTER,
    "python_gc_objects_uncollectable_total": Kind.COUNTER,
    "python_info": Kind.GAUGE,
}
"""What the adapters expose of the processes themselves: nobody else may record it."""


def base_name(name: str, kind: Kind) -> str:
    """The name of a metric without its suffix: a counter is the same with and without '_total'."""
    return name.removesuffix("_total") if kind is Kind.COUNTER else name


def escape_metric_name(name: str) -> str:
    """The name for scrapers that support no others, with '_' for each character that is not allowed."""
    return name if METRIC_NAME.fullmatch(name) else _escape(name, ":")


def escape_label_name(name: str) -> str:
    """The same for a label."""
    return name if LABEL_NAME.fullmatch(name) else _escape(name, "")


def _escape(name: str, also: str) -> str:
    allowed = "_" + also
    escaped = "".join(
        [
            character if character.isascii() and (character.isalnum() or character in allowed) else "_"
            for character in name
        ]
    )
    return "_" + escaped[1:] if escaped[:1].isdigit() else escaped


def exposed_names(name: str, kind: Kind) -> set[str]:
    """Every name that this metric's family or samples may have in the text, where names are escaped."""
    base = base_name(name, kind)
    names = {escape_metric_name(base + suffix) for suffix in ("", *SUFFIXES[kind])}
    beside = CATALOGUE.get(base)
    if kind is Kind.COUNTER and beside is not None and beside.kind is Kind.GAUGE:
        names.discard(base)  # there the counter's family keeps '_total' in its name
    return names


Owner = tuple[str, Kind]
"""The name of a metric, without a counter's '_total', and its kind."""


class ExposedNames:
    """Which metric each exposed name belongs to: those of the catalogue, and those taken since."""

    def __init__(self) -> None:
        self._owners: dict[str, Owner] = {}

    def take(self, name: str, kind: Kind) -> None:
        """Reserve the exposed names of a metric.

        Raises:
            MetricKindError: one of them belongs to another metric.
        """
        self.check(name, kind)
        owner = base_name(name, kind), kind
        self._owners.update(dict.fromkeys(exposed_names(name, kind), owner))

    def check(self, name: str, kind: Kind) -> None:
        if name in RUNTIME:
            raise MetricKindError(f"{name!r} is measured by the adapter itself: choose another name.")
        owner = base_name(name, kind), kind
        for exposed in sorted(exposed_names(name, kind)):
            other = FIXED.get(exposed) or self._owners.get(exposed, owner)
            if other != owner:
                raise MetricKindError(
                    f"{name!r} is used as a {kind}, but {other[0]!r} is a {other[1]}, and both would be "
                    f"exposed as {exposed!r}: choose another name."
                )


def _fixed_names() -> dict[str, Owner]:
    known = [(definition.name, definition.kind) for definition in CATALOGUE.values()]
    return {
        exposed: (base_name(name, kind), kind)
        for name, kind in (*known, *RUNTIME.items())
        for exposed in exposed_names(name, kind)
    }


FIXED: dict[str, Owner] = _fixed_names()
"""The names of the catalogue, to which declarations add."""


def reserve(definition: Definition) -> None:
    """Reserve the exposed names of a metric for it, as long as the process lives.

    Raises:
        MetricKindError: one of them belongs to another metric.
    """
    ExposedNames().check(definition.name, definition.kind)
    owner = base_name(definition.name, definition.kind), definition.kind
    FIXED.update(dict.fromkeys(exposed_names(definition.name, definition.kind), owner))


def catalogue_definition(name: str, kind: Kind) -> Definition | None:
    """The catalogue's definition of this metric, however a counter's name is spelt."""
    definition = CATALOGUE.get(name)
    if definition is None and kind is Kind.COUNTER:
        definition = CATALOGUE.get(f"{base_name(name, kind)}_total")
    return definition


def check_metric_name(name: str) -> None:
    """Raises InvalidMetricNameError unless Prometheus can hold the name."""
    # The name without `_total` is that of a counter's family.
    if not isinstance(name, str) or not METRIC_NAME.fullmatch(name.removesuffix("_total")):
        raise InvalidMetricNameError(
            f"{name!r} is not a metric name: use letters, digits, '_' and ':', and no digit first, "
            f"as in 'http_requests_total'."
        )


def check_declared_name(name: str) -> None:
    """Raises InvalidMetricNameError unless a metric may be declared by this name.

    It may have characters that are escaped for some scrapers, because a declaration is deliberate.
    """
    if not _is_text(name) or not name.removesuffix("_total"):
        raise InvalidMetricNameError(
            f"{name!r} is not a metric name: use printable characters, as in 'shop_orders_total'."
        )


def check_declared_labels(metric: str, labels: Collection[str]) -> None:
    """Raises InvalidMetricNameError unless a metric may be declared with labels of these names."""
    for label in labels:
        escaped = escape_label_name(label) if _is_text(label) else ""
        if not escaped or escaped.startswith("__") or escaped in RESERVED_LABELS:
            raise InvalidMetricNameError(
                f"{label!r} cannot be a label of {metric!r}: use printable characters, no '__' first, and "
                f"none of {', '.join(sorted(RESERVED_LABELS))}."
            )
    if len(set(map(escape_label_name, labels))) < len(set(labels)):
        raise InvalidMetricNameError(
            f"{metric!r} has the labels {tuple(labels)!r}, two of which are the same where names are escaped."
        )


def _is_text(name: object) -> bool:
    return isinstance(name, str) and name.isprintable() and name.strip() == name != ""


def check_label_names(metric: str, labels: Iterable[str], constant_labels: Iterable[str]) -> None:
    """Raises InvalidMetricNameError unless the metric may have labels of these names."""
    constant = frozenset(constant_labels)
    for label in labels:
        if not _is_label_name(label) or label in RESERVED_LABELS or label in constant:
            raise InvalidMetricNameError(
                f"{label!r} cannot be a label of {metric!r}: use letters, digits and '_', no digit "
                f"and no '__' first, and none of {', '.join(sorted(RESERVED_LABELS))} or of the constant "
                f"labels."
            )


MAX_EXEMPLAR_LENGTH = 128
"""Characters of all names and values of an exemplar's labels, as OpenMetrics 1.0 has it."""


def check_exemplar(metric: str, labels: Mapping[str, str]) -> None:
    """Raises MetricLabelsError unless these can be the labels of an exemplar."""
    length = sum(map(len, [*labels, *labels.values()]))
    if not all(map(_is_label_name, labels)) or length > MAX_EXEMPLAR_LENGTH:
        raise MetricLabelsError(
            f"{dict(labels)!r} cannot be an exemplar of {metric!r}: use label names, as in 'trace_id', and "
            f"{MAX_EXEMPLAR_LENGTH} characters at most together."
        )


def check_constant_labels(labels: Iterable[str]) -> None:
    """Raises InvalidMetricNameError for a constant label that a metric could also have."""
    taken = RESERVED_LABELS.union(*[definition.label_names for definition in CATALOGUE.values()])
    for label in labels:
        if not _is_label_name(label) or label in taken:
            raise InvalidMetricNameError(
                f"{label!r} cannot be a constant label: it is not a label name, or metrics have a label of "
                f"that name; choose another, as in 'service'."
            )


def _is_label_name(label: object) -> bool:
    return isinstance(label, str) and LABEL_NAME.fullmatch(label) is not None
