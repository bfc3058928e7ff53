"""The metrics of requests as the settings want them: their buckets and their extra labels."""

from dataclasses import replace

from metrics_app.catalogue import (
    CATALOGUE,
    HTTP_REQUEST_DURATION,
    HTTP_REQUEST_ERRORS,
    HTTP_REQUESTS,
    HTTP_TIME_TO_FIRST_BYTE,
    Definition,
)
from metrics_app.conf import conf

PLAIN = {
    name: CATALOGUE[name]
    for name in (HTTP_REQUESTS, HTTP_REQUEST_DURATION, HTTP_REQUEST_ERRORS, HTTP_TIME_TO_FIRST_BYTE)
}
LABELLED = {HTTP_REQUESTS, HTTP_REQUEST_DURATION, HTTP_REQUEST_ERRORS}
IN_BUCKETS = {HTTP_REQUEST_DURATION, HTTP_TIME_TO_FIRST_BYTE}


def declare_request_metrics() -> None:
    """Put the definitions that the settings ask for into the catalogue, before an adapter uses them."""
    CATALOGUE.update({name: _configured(definition) for name, definition in PLAIN.items()})


def find_request_settings() -> object:
    """Everything that the definitions depend on."""
    return conf.buckets, conf.routes, tuple(conf.labels)


def _configured(definition: Definition) -> Definition:
    if definition.name in LABELLED:
        definition = replace(definition, label_names=(*definition.label_names, *conf.labels))
    if definition.name in IN_BUCKETS:
        definition = replace(definition, buckets=conf.buckets, route_label="route", route_buckets=conf.routes)
    return definition
