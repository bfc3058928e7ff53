"""The metrics adapter that the settings name, one per process."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from django.conf import ENVIRONMENT_VARIABLE
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.db import connections
from django.utils.module_loading import import_string

from metrics_app import current
from metrics_app.conf import READ_SETTINGS, SETTINGS, conf
from metrics_app.current import get_metrics, register_scrape_gauges, reset
from metrics_app.ports import (
    AdapterOfLibraries,
    AdapterSettingsError,
    MetricsAdapter,
    MetricsError,
    MetricsOptions,
    MetricsPort,
)
from metrics_app.private_directory import make_private
from metrics_app.request_metrics import RequestMetricsOptions, declare_request_metrics
from metrics_app.setting_values import MEMORY

__all__ = ["get_metrics", "has_failed", "new_adapter", "register_scrape_gauges", "reset"]

logger = logging.getLogger(__name__)

Bound = TypeVar("Bound")

_made_from: object = None
_failed = False


def has_failed() -> bool:
    """Whether the adapter that the settings name could not be made, so that this process has another one."""
    return _failed


def make_adapter() -> MetricsAdapter:
    """The adapter of this process.

    If the one that the settings name cannot be made, it keeps metrics in memory, and none are exposed: an
    error of metrics fails nothing else.
    """
    global _failed, _made_from  # noqa: PLW0603 - one adapter per process is the purpose
    _made_from = _relevant_settings()
    try:
        adapter = new_adapter()
    except (ImproperlyConfigured, OSError) as error:
        logger.error("Metrics of this process are not exposed: %s", error)  # noqa: TRY400 - the text says all
        _failed = True
        substitute: type[MetricsAdapter] = import_string(MEMORY)
        return substitute.configured(options())
    _failed = False
    return adapter


def take_over_libraries() -> None:
    """Have the adapter record what other libraries record with the same metrics library, if it can."""
    try:
        adapter = adapter_class()
    except ImproperlyConfigured:
        return  # a check reports it
    if issubclass(adapter, AdapterOfLibraries):
        adapter.take_over_libraries(get_metrics)


def new_adapter() -> MetricsAdapter:
    """Another adapter, without the gauges of the apps; most callers want `get_metrics`.

    Raises:
        ImproperlyConfigured: the settings name no adapter, or one that cannot be made.
        OSError: the directory cannot be made, or is not private although its name is known.
    """
    found, all_options = adapter_class(), options()
    make_directory(found.directory_written(all_options))
    try:
        declare_request_metrics(request_options())
        return found.configured(all_options)
    except (AdapterSettingsError, MetricsError) as error:
        raise ImproperlyConfigured(str(error)) from error


class BoundByAlias(Generic[Bound]):
    """What `bind` binds for each alias of a database or cache, once per adapter, for all threads."""

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
    """The class that the setting BACKEND names.

    Raises:
        ImproperlyConfigured: it cannot be imported, or is not an adapter.
    """
    shown = SETTINGS["BACKEND"].shown()
    try:
        found = import_string(conf.backend)
    except ImportError as error:
        raise ImproperlyConfigured(
            f"{shown} cannot be imported ({error}): it is the dotted path of an adapter's class, as in "
            f"'metrics_app.adapters.prometheus.PrometheusMetricsAdapter'."
        ) from error
    if not (isinstance(found, type) and issubclass(found, MetricsAdapter)):
        raise ImproperlyConfigured(
            f"{shown} is not a metrics adapter: it must have every method of "
            f"'metrics_app.ports.MetricsAdapter'."
        )
    return found


def options() -> MetricsOptions:
    return MetricsOptions(
        constant_labels={
            name: text for name, text in conf.constant_labels.items() if name not in conf.labels
        },
        directory=conf.directory,
        max_label_sets=conf.max_label_sets,
        native_histograms=conf.native_histograms,
        created=conf.created,
        owner=find_owner(),
    )


def request_options() -> RequestMetricsOptions:
    buckets = None if SETTINGS["BUCKETS"].given() is None else conf.buckets
    return RequestMetricsOptions(conf.names, tuple(conf.labels), buckets, conf.routes)


def find_owner() -> str:
    """The service of this process, by its constant labels or by the name of its settings module.

    Its version is left out, because two versions may run at once while one replaces the other.
    """
    labels = {name: text for name, text in conf.constant_labels.items() if name != "version"}
    if labels:
        return ", ".join(f"{name}={text!r}" for name, text in sorted(labels.items()))
    return os.environ.get(ENVIRONMENT_VARIABLE, "")


def make_directory(directory: Path | None) -> None:
    """Make the directory that an adapter writes to; the default one is for this user alone.

    Raises:
        OSError: it cannot be made, or is not private although its name is known.
    """
    if directory is None:
        return
    if conf.has_default_directory():
        make_private(directory)
    else:
        directory.mkdir(parents=True, exist_ok=True)


def raises_misuse() -> bool:
    return conf.on_misuse == "raise"


def _relevant_settings() -> object:
    return conf.backend, options(), request_options()


def _reset_when_a_setting_changed(*, setting: str, **_: Any) -> None:
    # The recorded values are kept if the adapter would be the same.
    if setting in READ_SETTINGS and _made_from != _relevant_settings():
        reset()
        declare_request_metrics(request_options())


# Sent by override_settings, only in tests.
setting_changed.connect(_reset_when_a_setting_changed)
current.set_up(current.Setup(make_adapter, raises_misuse, connections.close_all))
