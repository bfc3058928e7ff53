"""Parsers of the settings, which return the value as it is used or raise SettingError with the rule, and the
defaults that depend on the machine and the project.
"""

import hashlib
import math
import os
import re
import secrets
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.util import find_spec
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import pairwise
from pathlib import Path
from typing import Any

from django.conf import settings
from django.utils.module_loading import import_string

from metrics_app.adapters.names import LABEL_NAME, TAKEN_LABELS
from metrics_app.observed_request import RequestLabel

PROMETHEUS = "metrics_app.adapters.prometheus.PrometheusMetricsAdapter"
MEMORY = "metrics_app.adapters.memory.InMemoryMetricsAdapter"


class SettingError(ValueError):
    """The setting cannot have this value; the message is the rule."""


NOBODY = (ip_network("0.0.0.0/32"),)
"""A network from which no connection comes."""


def switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise SettingError("use True or False")


def text(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise SettingError("use text")


def dotted_path(value: Any) -> str:
    """A path that is text; whether it leads anywhere is checked where it is imported."""
    if isinstance(value, str) and value:
        return value
    raise SettingError(f"use the dotted path of an adapter's class, as in {PROMETHEUS!r}")


def directory(value: Any) -> Path:
    if isinstance(value, str | os.PathLike) and os.fspath(value):
        return Path(os.fsdecode(value))
    raise SettingError("use the path of a directory, as in '/run/mysite/metrics'")


def whole_number(lowest: int, highest: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and lowest <= value <= highest:
            return value
        raise SettingError(f"use a whole number from {lowest:,} to {highest:,}")

    return parse


def one_of(*choices: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value in choices:
            return str(value)
        raise SettingError(f"use one of {', '.join(map(repr, choices))}")

    return parse


def buckets(value: Any) -> tuple[float, ...]:
    rule = "use a list of numbers above 0, each larger than the one before, as in [0.1, 0.5, 1, 5]"
    bounds = _items(value, rule)
    if not bounds or not all(isinstance(bound, int | float) and 0 < bound < math.inf for bound in bounds):
        raise SettingError(rule)
    if any(low >= high for low, high in pairwise(bounds)):
        raise SettingError(rule)
    return tuple(map(float, bounds))


def buckets_by_route(value: Any) -> Mapping[str, tuple[float, ...]]:
    rule = "use a dictionary of URL names and lists of buckets, as in {'shop:report': [1, 10, 60]}"
    if not isinstance(value, Mapping) or not all(isinstance(route, str) for route in value):
        raise SettingError(rule)
    return {route: buckets(bounds) for route, bounds in value.items()}


REQUEST_DETAILS = ("sizes", "first_byte", "exceptions", "queries")


def request_details(value: Any) -> tuple[str, ...]:
    rule = f"use a list of some of {', '.join(map(repr, REQUEST_DETAILS))}"
    found = _items(value, rule)
    if not all(item in REQUEST_DETAILS for item in found):
        raise SettingError(rule)
    return tuple(found)


def routes_and_prefixes(value: Any) -> tuple[str, ...]:
    rule = "use a list of URL names and path prefixes, as in ['health', '/internal/']"
    found = _items(value, rule)
    if not all(isinstance(item, str) and item for item in found):
        raise SettingError(rule)
    return tuple(found)


def constant_labels(value: Any) -> Mapping[str, str]:
    rule = "use a dictionary of label names and values, as in {'service': 'shop'}"
    if not isinstance(value, Mapping):
        raise SettingError(rule)
    for name in value:
        _check_label(name, rule)
    return {name: str(text) for name, text in value.items()}


def request_labels(value: Any) -> Mapping[str, RequestLabel]:
    rule = "use a dictionary of label names and functions, as in {'tenant': 'shop.metrics.find_tenant'}"
    if not isinstance(value, Mapping):
        raise SettingError(rule)
    found = {}
    for name, function in value.items():
        _check_label(name, rule)
        found[name] = _function(function, rule)
    return found


def _check_label(name: Any, rule: str) -> None:
    if not isinstance(name, str) or not LABEL_NAME.fullmatch(name):
        raise SettingError(f"{name!r} is not a label name; {rule}")
    if name in TAKEN_LABELS:
        raise SettingError(f"metrics have a label {name!r} already; {rule}")


def _function(value: Any, rule: str) -> RequestLabel:
    if isinstance(value, str):
        try:
            value = import_string(value)
        except ImportError as error:
            raise SettingError(f"{error}; {rule}") from error
    if not callable(value):
        raise SettingError(f"{value!r} is not a function; {rule}")
    function: RequestLabel = value
    return function


def networks(value: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    rule = "use a list of networks, as in ['10.0.0.0/8', 'fd00::/8']"
    try:
        return tuple([ip_network(network) for network in _items(value, rule)])
    except ValueError as error:
        raise SettingError(f"{error}; {rule}") from error


def _items(value: Any, rule: str) -> list[Any]:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise SettingError(rule)
    return list(value)


def create_unknown_token() -> str:
    """A token that no scrape has."""
    return secrets.token_hex()


@cache
def find_default_backend() -> str:
    return MEMORY if find_missing_module() else PROMETHEUS


def find_missing_module() -> str | None:
    """The missing module that the Prometheus adapter needs; None if it can work."""
    for name in ("fcntl", "resource", "prometheus_client"):
        try:
            if find_spec(name) is None:
                return name
        except ImportError:
            return name
    return None


def find_default_directory() -> Path:
    """A directory in the system's temporary one, shared by all processes of one user and one project.

    In tests it is another one: else a server that runs beside them would expose what they record.
    """
    module = os.environ.get("DJANGO_SETTINGS_MODULE") or str(getattr(settings, "ROOT_URLCONF", ""))
    file = getattr(sys.modules.get(module), "__file__", None) or "."
    project = re.sub(r"\W+", "-", module.partition(".")[0])[:40]
    digest = hashlib.sha256(f"{module}\n{Path(file).resolve()}".encode()).hexdigest()[:12]
    user = os.geteuid() if hasattr(os, "geteuid") else "user"
    purpose = "-tests" if _is_in_tests() else ""
    return Path(tempfile.gettempdir()) / f"metrics-{user}-{project}-{digest}{purpose}"


def find_default_on_misuse() -> str:
    """'raise' under DEBUG and in tests, where a developer sees it; else 'log'."""
    return "raise" if settings.DEBUG or _is_in_tests() else "log"


def _is_in_tests() -> bool:
    mail = sys.modules.get("django.core.mail")
    return mail is not None and hasattr(mail, "outbox")  # made by Django's setup_test_environment
