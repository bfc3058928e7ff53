"""Names that the installed prometheus_client can write; since 0.22 it escapes invalid ones."""

from functools import cache
from importlib.metadata import version

from prometheus_client import Metric, generate_latest

from metrics_app.adapters.names import escape_label_name, escape_metric_name
from metrics_app.adapters.prometheus.snapshot import Families
from metrics_app.catalogue import Definition
from metrics_app.ports import InvalidMetricNameError


def check_written_names(definition: Definition) -> Definition:
    """Return the definition, whose names can be written.

    Raises:
        InvalidMetricNameError: a scrape with these names would fail.
    """
    names = {definition.name: escape_metric_name(definition.name)}
    names |= {label: escape_label_name(label) for label in definition.label_names}
    refused = [name for name, escaped in names.items() if name != escaped]
    if refused and not _can_escape():
        raise InvalidMetricNameError(
            f"{refused[0]!r} cannot be written by prometheus_client {version('prometheus_client')}: install "
            f"0.22 or newer without PROMETHEUS_LEGACY_NAME_VALIDATION, or use letters, digits and '_'."
        )
    return definition


@cache
def _can_escape() -> bool:
    try:
        metric = Metric("a.b", "help", "gauge")
        metric.add_sample("a.b", {"c.d": "x"}, 1.0)
        text = generate_latest(Families(metric))
    except ValueError:
        return False
    return b'a_b{c_d="x"} 1.0' in text
