"""Which labels a metric has, and their values in a recording."""

from collections.abc import Mapping

from metrics_app.adapters.conversion import to_text
from metrics_app.adapters.names import (
    ExposedNames,
    catalogue_definition,
    check_constant_labels,
    check_label_names,
    check_metric_name,
    escape_label_name,
)
from metrics_app.catalogue import Definition, Kind, first_used
from metrics_app.ports import Labels, MetricLabelsError

LEFT_OUT_WHEN_EMPTY = frozenset({"method", "route", "code"})


class LabelRules:
    """The rules of labels. Constant labels are added at the exposition; a recording may repeat them."""

    def __init__(self, constant_labels: Mapping[str, str]) -> None:
        check_constant_labels(constant_labels)
        self._constant_labels = constant_labels

    def define(self, kind: Kind, name: str, labels: Labels, taken: ExposedNames) -> Definition:
        """The definition of a metric that has none yet; `taken` are the names of others.

        Raises:
            MetricsError: its name or the names of its labels cannot be used.
        """
        known = catalogue_definition(name, kind)
        if known is not None:
            self._check_constant_labels(known)
            return known
        check_metric_name(name)
        taken.check(name, kind)
        names = [label for label, value in labels.items() if not self._is_constant(label, value)]
        check_label_names(name, names, self._constant_labels)
        return first_used(name, kind, names)

    def find_values(self, definition: Definition, labels: Labels) -> tuple[str, ...]:
        """The values of the metric's labels as text, in the order of their names.

        Raises:
            MetricLabelsError: the label names are not those of the metric.
        """
        names = definition.label_names
        surplus = {
            label
            for label, value in labels.items()
            if label not in names and not self._is_constant(label, value)
        }
        missing = {label for label in names if label not in labels} - LEFT_OUT_WHEN_EMPTY
        if surplus or missing:
            raise MetricLabelsError(
                f"{definition.name!r} got the labels {sorted(map(str, labels))!r}, but it has "
                f"{sorted(names)!r}: give each of them, and no other, in every call."
            )
        return tuple([to_text(labels.get(label, "")) for label in names])

    def _check_constant_labels(self, definition: Definition) -> None:
        both = sorted(self._constant_labels.keys() & set(map(escape_label_name, definition.label_names)))
        if both:
            raise MetricLabelsError(
                f"{definition.name!r} has the label {both[0]!r}, which is also a constant label: choose "
                f"another name for one of them."
            )

    def _is_constant(self, label: str, value: object) -> bool:
        return label in self._constant_labels and self._constant_labels[label] == to_text(value)
