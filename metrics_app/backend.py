"""The metrics adapter that the settings name, one per process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections
from django.utils.module_loading import import_string

from metrics_app import current
from metrics_app.conf import conf
from metrics_app.current import get_metrics, register_scrape_gauges, reset
from metrics_app.ports import (
    AdapterSettingsError,
    MetricsAdapter,
    MetricsLabels,
    MetricsOptions,
    MetricsPort,
)

__all__ = ["get_metrics", "new_adapter", "register_scrape_gauges", "reset"]

READ_SETTINGS = frozenset(
    {
        "METRICS_BACKEND",
        "METRICS_MAX_LABEL_SETS",
        "PROMETHEUS_MULTIPROC_DIR",
        "SERVICE_INSTANCE_NAME",
        "SERVICE_NAME",
        "SERVICE_VERSION",
    }
)

Bound = TypeVar("Bound")


def new_adapter() -> MetricsAdapter:
    """An adapter of one's own, without the gauges of the apps; most callers want `get_metrics`.

    Raises:
        ImproperlyConfigured: METRICS_BACKEND names none, or it cannot be made.
    """
    try:
        return adapter_class().configured(options())
    except AdapterSettingsError as error:
        raise ImproperlyConfigured(str(error)) from error


class BoundByAlias(Generic[Bound]):
    """What `bind` binds for each alias of a database or cache: once per adapter, whichever thread asks."""

    def __init__(self, bind: Callable[[MetricsPort, str], Bound]) -> None:
        self._bind = bind
        self._bound: tuple[MetricsPort | None, dict[str, Bound]] = None, {}

    def of(self, alias: str) -> Bound:
        metrics = get_metrics()
        adapter, bound = self._bound
        if adapter is not metrics:
            adapter, bound = self._bound = metrics, {}
        if alias not in bound:
            bound[alias] = self._bind(metrics, alias)
        return bound[alias]


def adapter_class() -> type[MetricsAdapter]:
    """The class that METRICS_BACKEND names.

    Raises:
        ImproperlyConfigured: it cannot be imported, or is no adapter.
    """
    path = settings.METRICS_BACKEND
    try:
        found = import_string(path)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"METRICS_BACKEND={path!r} cannot be imported ({error}): it is the dotted path of an adapter's "
            f"class, as in 'metrics_app.adapters.prometheus.PrometheusMetricsAdapter'."
        ) from error
    if not (isinstance(found, type) and issubclass(found, MetricsAdapter)):
        raise ImproperlyConfigured(
            f"METRICS_BACKEND={path!r} is no metrics adapter: it must have every method of "
            f"'metrics_app.ports.MetricsAdapter'."
        )
    return found


def options() -> MetricsOptions:
    return MetricsOptions(
        constant_labels=MetricsLabels(
            service=settings.SERVICE_NAME,
            instance=settings.SERVICE_INSTANCE_NAME,
            version=settings.SERVICE_VERSION,
        ),
        directory=Path(settings.PROMETHEUS_MULTIPROC_DIR),
        max_label_sets=settings.METRICS_MAX_LABEL_SETS,
    )


def raises_misuse() -> bool:
    return conf.on_misuse == "raise"


def _reset_when_a_setting_changed(*, setting: str, **_: Any) -> None:
    if setting in READ_SETTINGS:
        reset()


# Sent by override_settings, in tests alone.
setting_changed.connect(_reset_when_a_setting_changed)
current.set_up(current.Setup(new_adapter, raises_misuse, connections.close_all))
