"""What must be right before the first request: Django refuses to start otherwise."""

import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's names
from django.core.exceptions import ImproperlyConfigured

from metrics_app import backend
from metrics_app.catalogue import CATALOGUE, Definition
from metrics_app.conf import SETTINGS, conf, read_dictionary
from metrics_app.ports import AdapterSettingsError, AdapterWithOwners
from metrics_app.request_metrics import declare_request_metrics
from metrics_app.request_schemes import FIXED_BUCKETS
from metrics_app.setting_values import SettingError, find_missing_module

TAG = "metrics"
"""For `manage.py check --tag metrics`."""
MIDDLEWARE = "metrics_app.middleware.RequestMetricsMiddleware"
MAX_BUCKETS = 20
MAX_NAMES_SHOWN = 3
LIBRARIES = {
    "prometheus_client": "prometheus-client",
    "opentelemetry": "opentelemetry-sdk opentelemetry-exporter-otlp-proto-http",
}
"""What to install for a module that an adapter needs."""


def register_all() -> None:
    register(check_settings, TAG)
    register(check_backend, TAG)
    register(check_default_backend, TAG)
    register(check_directory, TAG)
    register(check_files_in_directory, TAG)
    register(check_owners_of_directory, TAG)
    register(check_variables_of_the_adapter, TAG)
    register(check_buckets, TAG)
    register(check_limitations, TAG)
    register(check_middleware, TAG)


def check_middleware(*_: Any, **__: Any) -> list[CheckMessage]:
    times = list(settings.MIDDLEWARE).count(MIDDLEWARE)
    if times <= 1:
        return []
    return [
        Warning(
            f"{MIDDLEWARE!r} is in MIDDLEWARE {times} times: each request is counted {times} times.",
            hint="Remove all but the first.",
            id="metrics_app.W006",
        )
    ]


def check_settings(*_: Any, **__: Any) -> list[CheckMessage]:
    given = getattr(settings, "METRICS", None)
    if given is not None and given is not read_dictionary():
        return [
            Error(
                f"METRICS={given!r} is not a dictionary.",
                hint="Write it as METRICS = {'EXCLUDE': ['health']}; every key may be left out.",
                id="metrics_app.E006",
            )
        ]
    return [
        *[_unknown(key) for key in read_dictionary() if key not in SETTINGS],
        *[message for key in SETTINGS for message in _refused(key)],
        *_labels_twice(),
    ]


def _unknown(key: object) -> Error:
    close = get_close_matches(str(key).upper(), SETTINGS, 1)
    hint = f"Did you mean {close[0]!r}?" if close else f"The keys are {', '.join(sorted(SETTINGS))}."
    return Error(f"METRICS has the unknown key {key!r}.", hint=hint, id="metrics_app.E007")


def _refused(key: str) -> list[CheckMessage]:
    setting = SETTINGS[key]
    value = setting.given()
    if value is None:
        return []
    try:
        setting.parse(value)
    except SettingError as error:
        hint = "Until it is corrected, its default applies; one that guards scrapes refuses all of them."
        return [Error(f"{setting.shown()} is refused: {error}.", hint=hint, id="metrics_app.E008")]
    return []


def _labels_twice() -> list[CheckMessage]:
    return [
        Error(
            f"{label!r} is in both METRICS['LABELS'] and METRICS['CONSTANT_LABELS'].",
            hint="Choose another name for one of them.",
            id="metrics_app.E009",
        )
        for label in conf.labels
        if label in conf.constant_labels
    ]


def check_default_backend(*_: Any, **__: Any) -> list[CheckMessage]:
    missing = find_missing_module()
    if SETTINGS["BACKEND"].given() is not None or missing is None:
        return []
    if missing in LIBRARIES:
        hint = f"Install it with '{sys.executable} -m pip install {LIBRARIES[missing]}'."
    else:
        hint = "This system has no such module: choose the OpenTelemetry adapter, or run one process."
    return [
        Warning(
            f"Each process keeps its own metrics, in memory: the Prometheus adapter needs {missing!r}.",
            hint=hint,
            id="metrics_app.W004",
        )
    ]


def check_backend(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        backend.adapter_class()
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=_backend_hint(error.__cause__), id="metrics_app.E001")]
    return []


def check_variables_of_the_adapter(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        backend.new_adapter().close()
    except ImproperlyConfigured as error:
        if isinstance(error.__cause__, AdapterSettingsError):
            hint = "The adapter reads this variable itself; leave it out for its default."
            return [Error(str(error), hint=hint, id="metrics_app.E004")]
    except OSError:
        return []  # E002 and E003 say so
    return []


def check_directory(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        directory = backend.adapter_class().directory_written(backend.options())
    except ImproperlyConfigured:
        return []  # E001 says so
    if directory is None:
        return []
    try:
        backend.make_directory(directory)
    except OSError as error:
        return [_unusable(f"cannot be created ({error.strerror})", "metrics_app.E002")]
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return [_unusable("cannot be written", "metrics_app.E003")]
    return []


def check_files_in_directory(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        adapter = backend.adapter_class()
        directory = adapter.directory_written(backend.options())
        if directory is None:
            return []
        foreign, unreadable = adapter.foreign_files(directory), adapter.unreadable_files(directory)
    except (ImproperlyConfigured, OSError):
        return []  # E001 to E003 say so
    if directory.resolve() in {Path("/"), Path.home()}:
        foreign = foreign or ["whatever is put there"]
    messages: list[CheckMessage] = []
    if foreign:
        messages.append(_shared(foreign))
    if unreadable:
        messages.append(
            Warning(
                f"{SETTINGS['DIRECTORY'].shown()} has files that this user cannot open: "
                f"{_listed(unreadable)}. What they hold is missing from scrapes.",
                hint="Another user ran a command of this service: give the files to this user, or remove "
                "them while nothing runs.",
                id="metrics_app.W003",
            )
        )
    return messages


def check_owners_of_directory(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        adapter, options = backend.adapter_class(), backend.options()
    except ImproperlyConfigured:
        return []  # E001 says so
    others = adapter.find_other_owners(options) if issubclass(adapter, AdapterWithOwners) else []
    if not others:
        return []
    return [
        Warning(
            f"{SETTINGS['DIRECTORY'].shown()} has metrics of other services: {' and '.join(others)}. "
            f"Each scrape shows them as metrics of this one, {options.owner}.",
            hint=f"Give each service a directory of its own by {SETTINGS['DIRECTORY'].names()}. "
            "It is emptied when no process uses it any more.",
            id="metrics_app.W005",
        )
    ]


def _shared(foreign: list[str]) -> Error:
    return Error(
        f"{SETTINGS['DIRECTORY'].shown()} contains files that are not metrics: {_listed(foreign)}.",
        hint=f"Set {SETTINGS['DIRECTORY'].names()} to a directory that is only for metrics, or leave it out.",
        id="metrics_app.E005",
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:MAX_NAMES_SHOWN]))
    return f"{shown} and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else shown


def check_buckets(*_: Any, **__: Any) -> list[CheckMessage]:
    declare_request_metrics(backend.request_options())
    return too_many_buckets([each for each in CATALOGUE.values() if each.name not in FIXED_BUCKETS])


def too_many_buckets(definitions: Sequence[Definition]) -> list[CheckMessage]:
    return [
        Warning(
            f"{definition.name!r} has {len(definition.buckets)} buckets: each label set of a histogram has "
            f"a series per bucket, so it should have at most {MAX_BUCKETS}.",
            hint="Choose fewer bounds, further apart.",
            id="metrics_app.W001",
        )
        for definition in definitions
        if len(definition.buckets) > MAX_BUCKETS
    ]


def _backend_hint(cause: BaseException | None) -> str:
    missing = cause.name if isinstance(cause, ImportError) else None
    if missing and not f"{conf.backend}.".startswith(f"{missing}."):
        root = missing.partition(".")[0]
        return (
            f"The adapter needs {root!r}: install it with '{sys.executable} -m pip install "
            f"{LIBRARIES.get(root, root)}', or choose another adapter."
        )
    return f"Leave {SETTINGS['BACKEND'].names()} out for the Prometheus adapter."


def check_limitations(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        limitations = backend.adapter_class().limitations()
    except ImproperlyConfigured:
        return []  # E001 says so
    return [
        Warning(
            limitation,
            hint="Install a release of the library that this version of metrics_app knows, or update it.",
            id="metrics_app.W002",
        )
        for limitation in limitations
    ]


def _unusable(fault: str, number: str) -> Error:
    return Error(
        f"{SETTINGS['DIRECTORY'].shown()} {fault}: every worker keeps its metrics there.",
        hint=f"Set {SETTINGS['DIRECTORY'].names()} to a directory that this user may write to.",
        id=number,
    )
