"""What the settings ask for besides rate, errors and duration by method, route and code."""

import sys
from collections.abc import Callable, Mapping
from typing import Any

from django.core.signals import got_request_exception
from django.http import HttpRequest

from metrics_app.conf import conf
from metrics_app.detailed_request import EXCEPTION, Observing, Recording, Wanted
from metrics_app.django_prometheus_observer import DjangoPrometheusObserver
from metrics_app.observed_request import Measurements, Observer
from metrics_app.observers import LabelledObserver, MeasuringObserver, count_exceptions, find_histograms
from metrics_app.ports import MetricsPort
from metrics_app.semconv_observer import SemconvObserver


def find_details(metrics: MetricsPort) -> Recording | Observing | None:
    """None if only what the adapter's own recorder takes is wanted."""
    routes = frozenset(item for item in conf.exclude if not item.startswith("/"))
    labels, details, names = conf.labels, conf.request_details, conf.names
    if names == "plain" and not routes and not labels and not details:
        return None
    counts_exceptions = "exceptions" in details
    if counts_exceptions or names == "semconv":
        got_request_exception.connect(_note_exception)
    measurements = Measurements.named(details)
    wanted = Wanted(measurements, routes, count_exceptions(metrics) if counts_exceptions else None)
    if names == "plain" and not labels:
        return Recording(metrics.detailed_recorder(find_histograms(measurements)), wanted)
    observer, hooks = _find_observer(metrics)
    if any(measurements):
        observer = MeasuringObserver(metrics, observer, measurements, conf.max_label_sets)
    return Observing(observer, wanted, hooks)


def _find_observer(metrics: MetricsPort) -> tuple[Observer, Mapping[str, Callable[..., Any]]]:
    """The observer that records rate, errors and duration, and the Django hooks that it needs."""
    if conf.names == "django-prometheus":
        observer = DjangoPrometheusObserver(metrics, conf.max_label_sets)
        return observer, {
            "process_exception": observer.process_exception,
            "process_template_response": observer.process_template_response,
        }
    kind = SemconvObserver if conf.names == "semconv" else LabelledObserver
    return kind(metrics, conf.labels, conf.max_label_sets), {}


def _note_exception(*, request: HttpRequest | None = None, **_: Any) -> None:
    """Receives the signal that Django sends when it answers 500 for an exception."""
    error = sys.exc_info()[1]
    if request is not None and error is not None:
        setattr(request, EXCEPTION, type(error).__name__)
