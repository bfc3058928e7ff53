"""The metrics of requests as the settings want them: their names, their buckets and their extra labels."""

from dataclasses import replace

from metrics_app.adapters.names import reserve
from metrics_app.catalogue import (
    CATALOGUE,
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_TIME_TO_FIRST_BYTE,
    Definition,
)
from metrics_app.conf import SETTINGS, conf
from metrics_app.request_schemes import DURATIONS, SCHEMES, SERVER_DURATION
from metrics_app.store_schemes import STORES

PLAIN = [
    replace(CATALOGUE[name], route_label="route")
    for name in (HTTP_REQUESTS, HTTP_REQUEST_DURATION, HTTP_REQUEST_ERRORS, HTTP_TIME_TO_FIRST_BYTE)
]
LABELLED = {HTTP_REQUESTS, HTTP_REQUEST_DURATION, HTTP_REQUEST_ERRORS, SERVER_DURATION}
IN_BUCKETS = {HTTP_REQUEST_DURATION, HTTP_TIME_TO_FIRST_BYTE, *DURATIONS}


def declare_request_metrics() -> None:
    """Put the definitions that the settings ask for into the catalogue, before an adapter uses them.

    Raises:
        MetricKindError: the project has a metric of such a name.
    """
    stores = STORES if conf.names == "django-prometheus" else ()
    for definition in (*STORES, *[each for scheme in SCHEMES.values() for each in scheme]):
        CATALOGUE.pop(definition.name, None)
    for definition in (*PLAIN, *SCHEMES[conf.names], *stores):
        if definition not in PLAIN:
            reserve(definition)
        CATALOGUE[definition.name] = _configured(definition)


def find_request_settings() -> object:
    """Everything that the definitions depend on."""
    return conf.buckets, conf.routes, tuple(conf.labels), conf.names


def _configured(definition: Definition) -> Definition:
    if definition.name in LABELLED:
        otlp_labels = (*definition.otlp_labels, *conf.labels) if definition.otlp_labels else ()
        label_names = (*definition.label_names, *conf.labels)
        definition = replace(definition, label_names=label_names, otlp_labels=otlp_labels)
    if definition.name in IN_BUCKETS:
        own = SETTINGS["BUCKETS"].given() is not None
        routes = conf.routes if definition.route_label else {}
        buckets = conf.buckets if own else definition.buckets
        definition = replace(definition, buckets=buckets, route_buckets=routes)
    return definition
