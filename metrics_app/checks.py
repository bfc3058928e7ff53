"""What must be right before the first request: Django refuses to start otherwise."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's names
from django.core.exceptions import ImproperlyConfigured

from metrics_app import backend
from metrics_app.catalogue import CATALOGUE, Definition
from metrics_app.ports import AdapterSettingsError

MAX_BUCKETS = 20
MAX_NAMES_SHOWN = 3


def register_all() -> None:
    register(check_backend)
    register(check_directory)
    register(check_files_in_directory)
    register(check_variables_of_the_adapter)
    register(check_buckets)
    register(check_limitations)


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
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return [_unusable(directory, f"cannot be made ({error.strerror})", "metrics_app.E002")]
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        return [_unusable(directory, "cannot be written", "metrics_app.E003")]
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
        messages.append(_shared(directory, foreign))
    if unreadable:
        messages.append(
            Warning(
                f"PROMETHEUS_MULTIPROC_DIR={str(directory)!r} has files that this user cannot open: "
                f"{_listed(unreadable)}. What they hold is missing from scrapes.",
                hint="Another user ran a command of this service: give the files to this user, or remove "
                "them while nothing runs.",
                id="metrics_app.W003",
            )
        )
    return messages


def _shared(directory: Path, foreign: list[str]) -> Error:
    return Error(
        f"PROMETHEUS_MULTIPROC_DIR={str(directory)!r} holds what is not of metrics: {_listed(foreign)}.",
        hint="Name a directory of its own, as DATA_DIR/metrics is: nothing else may be kept there.",
        id="metrics_app.E005",
    )


def _listed(names: list[str]) -> str:
    shown = ", ".join(map(repr, names[:MAX_NAMES_SHOWN]))
    return f"{shown} and {len(names) - MAX_NAMES_SHOWN} more" if len(names) > MAX_NAMES_SHOWN else shown


def check_buckets(*_: Any, **__: Any) -> list[CheckMessage]:
    return too_many_buckets(list(CATALOGUE.values()))


def too_many_buckets(definitions: Sequence[Definition]) -> list[CheckMessage]:
    return [
        Warning(
            f"{definition.name!r} has {len(definition.buckets)} buckets: each label set of a histogram has "
            f"a series per bucket, so it should have {MAX_BUCKETS} at most.",
            hint="Choose fewer bounds, further apart.",
            id="metrics_app.W001",
        )
        for definition in definitions
        if len(definition.buckets) > MAX_BUCKETS
    ]


def _backend_hint(cause: BaseException | None) -> str:
    missing = cause.name if isinstance(cause, ImportError) else None
    if missing and not f"{settings.METRICS_BACKEND}.".startswith(f"{missing}."):
        return (
            f"The adapter needs {missing.split('.')[0]!r}: install it with "
            f"'{sys.executable} -m pip install -r requirements.txt', or choose another adapter."
        )
    return "Leave METRICS_BACKEND out for the Prometheus adapter."


def check_limitations(*_: Any, **__: Any) -> list[CheckMessage]:
    try:
        limitations = backend.adapter_class().limitations()
    except ImproperlyConfigured:
        return []  # E001 says so
    return [
        Warning(
            limitation,
            hint="Install the versions that requirements.txt names.",
            id="metrics_app.W002",
        )
        for limitation in limitations
    ]


def _unusable(directory: Path, fault: str, number: str) -> Error:
    return Error(
        f"PROMETHEUS_MULTIPROC_DIR={str(directory)!r} {fault}: every worker keeps its metrics there.",
        hint="Name a directory that this user may write to.",
        id=number,
    )
