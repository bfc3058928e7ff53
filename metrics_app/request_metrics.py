"""The metrics of requests as the settings ask for them: names, buckets and extra labels."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from metrics_app.adapters.names import reserve
from metrics_app.catalogue import (
    CATALOGUE,
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_TIME_TO_FIRST_BYTE,
    Definition,
)
from metrics_app.request_schemes import DURATIONS, SCHEMES, SERVER_DURATION
from metrics_app.store_schemes import STORES

PLAIN = [
    replace(CATALOGUE[name], route_label="route")
    for name in (HTTP_REQUESTS, HTTP_REQUEST_DURATION, HTTP_REQUEST_ERRORS, HTTP_TIME_TO_FIRST_BYTE)
]
LABELLED = {HTTP_REQUESTS, HTTP_REQUEST_DURATION, HTTP_REQUEST_ERRORS, SERVER_DURATION}
IN_BUCKETS = {HTTP_REQUEST_DURATION, HTTP_TIME_TO_FIRST_BYTE, *DURATIONS}


@dataclass(frozen=True)
class RequestMetricsOptions:
    """Everything that the definitions depend on."""

    names: str = "plain"
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] | None = None
    """None for those of the names."""
    routes: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


def declare_request_metrics(options: RequestMetricsOptions) -> None:
    """Put the definitions that the settings ask for into the catalogue, before an adapter uses them.

    Raises:
        MetricKindError: the project has a metric with such a name.
    """
    stores = STORES if options.names == "django-prometheus" else ()
    for definition in (*STORES, *[each for scheme in SCHEMES.values() for each in scheme]):
        CATALOGUE.pop(definition.name, None)
    for definition in (*PLAIN, *SCHEMES[options.names], *stores):
        if definition not in PLAIN:
            reserve(definition)
        CATALOGUE[definition.name] = _configured(definition, options)


def _configured(definition: Definition, options: RequestMetricsOptions) -> Definition:
    if definition.name in LABELLED:
        otlp_labels = (*definition.otlp_labels, *options.labels) if definition.otlp_labels else ()
        label_names = (*definition.label_names, *options.labels)
        definition = replace(definition, label_names=label_names, otlp_labels=otlp_labels)
    if definition.name in IN_BUCKETS:
        routes = options.routes if definition.route_label else {}
        buckets = definition.buckets if options.buckets is None else options.buckets
        definition = replace(definition, buckets=buckets, route_buckets=routes)
    return definition
