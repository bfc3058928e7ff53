"""The settings of a process without Django: arguments, or variables of the environment.

| argument | variable | default |
| --- | --- | --- |
| `backend` | `METRICS_BACKEND` | the Prometheus adapter |
| `directory` | `METRICS_DIRECTORY` | a private one, by user, working directory and service |
| `constant_labels` | `METRICS_CONSTANT_LABELS`, as in `service=shop,version=2` | none |
| `max_label_sets` | `METRICS_MAX_LABEL_SETS` | 2,000 |
| `on_misuse` | `METRICS_ON_MISUSE` | `log`; or `raise` |
| `token`, `allowed_networks` | `METRICS_TOKEN`, `METRICS_ALLOWED_NETWORKS` | none: open |
| `count_scrapes` | `METRICS_COUNT_SCRAPES` | `false` |
| `names` | `METRICS_NAMES` | `plain`; or `semconv` |
| `labels` | none | none; names, each with a function of the scope or environ |
| `request_details` | `METRICS_REQUEST_DETAILS`, as in `sizes,exceptions` | none |
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from metrics_app import current
from metrics_app.adapters.names import LABEL_NAME, TAKEN_LABELS
from metrics_app.catalogue import DEFAULT_MAX_LABEL_SETS
from metrics_app.ports import (
    AdapterOfLibraries,
    AdapterSettingsError,
    MetricsAdapter,
    MetricsError,
    MetricsOptions,
)
from metrics_app.private_directory import make_private
from metrics_app.request_metrics import RequestMetricsOptions, declare_request_metrics

PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"
MISUSE_CHOICES = ("log", "raise")
NAMES = ("plain", "semconv")
"""Those of django-prometheus are of what Django does with a request."""
DETAILS = ("sizes", "first_byte", "exceptions")
"""Queries are those of Django's connections."""
SWITCHES = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


class StandaloneArguments(TypedDict, total=False):
    backend: str
    directory: str | os.PathLike[str]
    constant_labels: Mapping[str, str]
    max_label_sets: int
    on_misuse: str
    token: str
    allowed_networks: Sequence[str]
    count_scrapes: bool
    names: str
    labels: Mapping[str, Callable[[Any], object]]
    request_details: Sequence[str]


class StandaloneSettings(NamedTuple):
    backend: str
    directory: Path
    has_default_directory: bool
    constant_labels: tuple[tuple[str, str], ...]
    max_label_sets: int
    on_misuse: str
    token: str
    allowed_networks: tuple[IPv4Network | IPv6Network, ...]
    count_scrapes: bool
    names: str
    labels: tuple[tuple[str, Callable[[Any], object]], ...]
    request_details: tuple[str, ...]


_used: StandaloneSettings | None = None


def set_up(arguments: StandaloneArguments) -> StandaloneSettings:
    """Use these settings in this process.

    If Django has set up metrics, its adapter is used, and only `token`, `allowed_networks`, `count_scrapes`
    and `request_details` have an effect here.

    Raises:
        AdapterSettingsError: a value cannot be used, or other settings are in use already.
        OSError: the directory cannot be made, or is not private although its name is known.
    """
    global _used  # noqa: PLW0603 - one per process is the purpose
    if _used is not None and not arguments:
        return _used
    settings = read_settings(arguments)
    if current.is_set_up() and _used is None:
        # Its names and labels are declared as Django's settings say.
        return settings._replace(names="plain", labels=())
    if _used is not None and _process_wide(_used) != _process_wide(settings):
        raise AdapterSettingsError(
            f"This process records by the settings {_process_wide(_used)!r}, not by "
            f"{_process_wide(settings)!r}; use the same ones everywhere, or none but once."
        )
    if _used is None:
        adapter = _find_adapter(settings.backend)
        _make_directory(adapter, settings)
        _declare(settings)
        _used = settings
        current.set_up(
            current.Setup(
                lambda: adapter.configured(_options(settings)),
                lambda: settings.on_misuse == "raise",
                lambda: None,
            )
        )
        if issubclass(adapter, AdapterOfLibraries):
            adapter.take_over_libraries(current.get_metrics)
    return settings


def forget() -> None:
    """Forget the settings, so that tests can use others."""
    global _used  # noqa: PLW0603 - one per process is the purpose
    current.reset()
    if _used is not None:
        current.set_up(None)
    _used = None


def read_settings(arguments: StandaloneArguments) -> StandaloneSettings:
    """Each argument, else its variable, else its default.

    Raises:
        AdapterSettingsError: a value cannot be used.
    """
    labels = arguments.get("constant_labels")
    constant_labels = _read_labels(_variable("CONSTANT_LABELS")) if labels is None else dict(labels)
    directory = arguments.get("directory", _variable("DIRECTORY"))
    networks = arguments.get("allowed_networks", _variable("ALLOWED_NETWORKS").split(","))
    details = _variable("REQUEST_DETAILS").split(",")
    return StandaloneSettings(
        backend=arguments.get("backend") or _variable("BACKEND") or PROMETHEUS,
        directory=Path(directory) if directory else _find_default_directory(constant_labels),
        has_default_directory=not directory,
        constant_labels=tuple(sorted(constant_labels.items())),
        max_label_sets=arguments.get("max_label_sets") or _read_max_label_sets(),
        on_misuse=_one_of(
            arguments.get("on_misuse") or _variable("ON_MISUSE") or "log", "ON_MISUSE", MISUSE_CHOICES
        ),
        token=arguments.get("token", _variable("TOKEN")),
        allowed_networks=_read_networks(networks),
        count_scrapes=arguments.get("count_scrapes", _read_switch("COUNT_SCRAPES")),
        names=_one_of(arguments.get("names") or _variable("NAMES") or "plain", "NAMES", NAMES),
        labels=_read_request_labels(arguments.get("labels", {}), constant_labels),
        request_details=_read_details(arguments.get("request_details", details)),
    )


def _process_wide(settings: StandaloneSettings) -> tuple[object, ...]:
    """The settings that the adapter depends on, because a process has only one."""
    return (
        settings.backend,
        str(settings.directory),
        settings.constant_labels,
        settings.max_label_sets,
        settings.names,
        tuple([name for name, _ in settings.labels]),
    )


def _declare(settings: StandaloneSettings) -> None:
    try:
        labels = tuple([name for name, _ in settings.labels])
        declare_request_metrics(RequestMetricsOptions(settings.names, labels))
    except MetricsError as error:
        raise AdapterSettingsError(str(error)) from error


def _options(settings: StandaloneSettings) -> MetricsOptions:
    return MetricsOptions(dict(settings.constant_labels), settings.directory, settings.max_label_sets)


def _find_adapter(path: str) -> type[MetricsAdapter]:
    module, _, name = path.rpartition(".")
    try:
        found: object = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise AdapterSettingsError(
            f"METRICS_BACKEND={path!r} cannot be imported ({error}); use the dotted path of an adapter's "
            f"class, as in {PROMETHEUS!r}."
        ) from error
    if not (isinstance(found, type) and issubclass(found, MetricsAdapter)):
        raise AdapterSettingsError(
            f"METRICS_BACKEND={path!r} is not a metrics adapter: it must have every method of "
            f"'metrics_app.ports.MetricsAdapter'."
        )
    return found


def _make_directory(adapter: type[MetricsAdapter], settings: StandaloneSettings) -> None:
    directory = adapter.directory_written(_options(settings))
    if directory is None:
        return
    if settings.has_default_directory:
        make_private(directory)
    else:
        directory.mkdir(parents=True, exist_ok=True)


def _find_default_directory(constant_labels: Mapping[str, str]) -> Path:
    """A directory in the temporary one, the same for each user, working directory and service."""
    service = constant_labels.get("service", "")
    digest = hashlib.sha256(f"{Path.cwd()}\n{service}".encode()).hexdigest()[:12]
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    name = re.sub(r"\W+", "-", service or Path.cwd().name)[:40] or "app"
    return Path(tempfile.gettempdir()) / f"metrics-{user}-{name}-{digest}"


def _variable(name: str) -> str:
    return os.environ.get(f"METRICS_{name}", "").strip()


def _read_max_label_sets() -> int:
    text = _variable("MAX_LABEL_SETS") or str(DEFAULT_MAX_LABEL_SETS)
    if not text.isdecimal() or not int(text):
        raise AdapterSettingsError(f"METRICS_MAX_LABEL_SETS={text!r} is not a number; use one above 0.")
    return int(text)


def _read_switch(name: str) -> bool:
    text = _variable(name).lower()
    if text not in SWITCHES:
        raise AdapterSettingsError(f"METRICS_{name}={text!r} is neither true nor false; use one of these.")
    return SWITCHES[text]


def _read_labels(text: str) -> dict[str, str]:
    pairs = [pair.partition("=") for pair in text.split(",") if pair.strip()]
    if not all(separator and name.strip() for name, separator, _ in pairs):
        raise AdapterSettingsError(
            f"METRICS_CONSTANT_LABELS={text!r} is not a list of labels; use 'service=shop,version=2'."
        )
    return {name.strip(): value.strip() for name, _, value in pairs}


def _read_request_labels(
    labels: Mapping[str, Callable[[Any], object]], constant_labels: Mapping[str, str]
) -> tuple[tuple[str, Callable[[Any], object]], ...]:
    for name, function in labels.items():
        if not LABEL_NAME.fullmatch(str(name)) or name in TAKEN_LABELS or name in constant_labels:
            raise AdapterSettingsError(
                f"labels: {name!r} is not a label name, or metrics have it already; choose another, as in "
                f"'tenant'."
            )
        if not callable(function):
            raise AdapterSettingsError(f"labels: {function!r} is not a function; use one of the request.")
    return tuple(labels.items())


def _read_details(texts: Sequence[str]) -> tuple[str, ...]:
    wanted = [texts] if isinstance(texts, str) else [text.strip() for text in texts if text.strip()]
    for detail in wanted:
        _one_of(detail, "REQUEST_DETAILS", DETAILS)
    return tuple(wanted)


def _read_networks(texts: Sequence[str]) -> tuple[IPv4Network | IPv6Network, ...]:
    try:
        return tuple([ip_network(text.strip()) for text in texts if text.strip()])
    except ValueError as error:
        raise AdapterSettingsError(
            f"METRICS_ALLOWED_NETWORKS={list(texts)!r}: {error}; use networks as in '10.0.0.0/8'."
        ) from error


def _one_of(value: str, name: str, choices: Sequence[str]) -> str:
    if value not in choices:
        raise AdapterSettingsError(
            f"METRICS_{name}={value!r} is unknown; use one of {', '.join(map(repr, choices))}."
        )
    return value
