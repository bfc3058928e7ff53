"""The settings: one dictionary, METRICS, in which every key has a default.

Each property reads `django.conf.settings` when it is asked, so that `override_settings` works. A value that
cannot be used counts as missing, so that it fails no request; a system check reports it at start.
"""

import os
from collections.abc import Callable, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Generic, TypeVar, overload

from django.conf import settings

from metrics_app import setting_values
from metrics_app.catalogue import DEFAULT_MAX_LABEL_SETS, REQUEST_BUCKETS
from metrics_app.observed_request import RequestLabel
from metrics_app.setting_values import SettingError

Value = TypeVar("Value")


class Setting(Generic[Value]):
    """One key of METRICS, as a property that reads it late.

    `parse` returns the value as it is used, or raises SettingError with the rule. `flat` is its name in the
    first version of this app, which is read if METRICS has no such key. `refused` replaces a value that
    cannot be used, if the default would open what the value should close.
    """

    def __init__(
        self,
        default: Callable[[], Value],
        parse: Callable[[Any], Value],
        *,
        flat: str = "",
        refused: Callable[[], Value] | None = None,
        secret: bool = False,
    ) -> None:
        self.default = default
        self.parse = parse
        self.flat = flat
        self._refused = refused or default
        self._secret = secret

    def __set_name__(self, _owner: type, name: str) -> None:
        self.key = name.upper()

    @overload
    def __get__(self, instance: None, owner: type) -> "Setting[Value]": ...

    @overload
    def __get__(self, instance: "Conf", owner: type) -> Value: ...

    def __get__(self, instance: "Conf | None", owner: type) -> "Setting[Value] | Value":
        if instance is None:
            return self
        given = self.given()
        if given is None:
            return self.default()
        try:
            return self.parse(given)
        except SettingError:
            return self._refused()

    def given(self) -> Any:
        """The value that the project has set; None stands for the default."""
        dictionary = read_dictionary()
        return dictionary[self.key] if self.key in dictionary else self._given_flat()

    def shown(self) -> str:
        """The setting and its value, as in messages."""
        given = self.given()
        flat = self.key not in read_dictionary() and given is not None and self.flat
        value = self.default() if given is None else given
        if self._secret:
            value = f"a secret {type(value).__name__}"
        text = repr(os.fspath(value) if isinstance(value, os.PathLike) else value)
        return f"{flat or f'METRICS[{self.key!r}]'}={text}"

    def names(self) -> str:
        """How a hint names the setting."""
        return f"METRICS[{self.key!r}]" + (f" (or {self.flat})" if self.flat else "")

    def _given_flat(self) -> Any:
        return getattr(settings, self.flat, None) if self.flat else None


class ConstantLabels(Setting[Mapping[str, str]]):
    """In the first version these were three settings, all required; fewer belong to the project itself."""

    FLAT = {"service": "SERVICE_NAME", "instance": "SERVICE_INSTANCE_NAME", "version": "SERVICE_VERSION"}

    def names(self) -> str:
        """How a hint names the setting."""
        return f"METRICS[{self.key!r}]" + (f" (or {self.flat})" if self.flat else "")

    def _given_flat(self) -> Any:
        found = {label: getattr(settings, name, None) for label, name in self.FLAT.items()}
        return None if None in found.values() else found


class Conf:
    """The settings as they are now."""

    backend = Setting(setting_values.find_default_backend, setting_values.dotted_path, flat="METRICS_BACKEND")
    """The dotted path of the adapter's class."""
    directory = Setting(
        setting_values.find_default_directory, setting_values.directory, flat="PROMETHEUS_MULTIPROC_DIR"
    )
    """Where all processes of the project keep their metrics."""
    constant_labels = ConstantLabels(dict, setting_values.constant_labels)
    """On every sample, beside what Prometheus adds itself."""
    buckets = Setting(lambda: REQUEST_BUCKETS, setting_values.buckets)
    """Upper bounds of request durations, in seconds."""
    routes: Setting[Mapping[str, tuple[float, ...]]] = Setting(dict, setting_values.buckets_by_route)
    """The same for single routes."""
    exclude: Setting[tuple[str, ...]] = Setting(tuple, setting_values.routes_and_prefixes)
    """Routes, and path prefixes, whose requests are not measured."""
    labels: Setting[Mapping[str, RequestLabel]] = Setting(dict, setting_values.request_labels)
    """Extra labels of requests, each with the function that tells its value."""
    request_details: Setting[tuple[str, ...]] = Setting(tuple, setting_values.request_details)
    """What is measured of requests beside rate, errors and duration."""
    database = Setting(bool, setting_values.switch, flat="METRICS_DATABASE")
    caches = Setting(bool, setting_values.switch, flat="METRICS_CACHE")
    tasks = Setting(bool, setting_values.switch)
    commands = Setting(bool, setting_values.switch)
    names = Setting(lambda: "plain", setting_values.one_of("plain", "django-prometheus", "semconv"))
    """Whose names and labels the metrics of requests have."""
    on_misuse = Setting(setting_values.find_default_on_misuse, setting_values.one_of("log", "raise"))
    """What becomes of a recording that cannot be made."""
    token = Setting(
        str,
        setting_values.text,
        flat="METRICS_TOKEN",
        refused=setting_values.create_unknown_token,
        secret=True,
    )
    """The bearer token that a scrape must send; '' for none."""
    allowed_networks: Setting[tuple[IPv4Network | IPv6Network, ...]] = Setting(
        tuple,
        setting_values.networks,
        flat="METRICS_ALLOWED_NETWORKS",
        refused=lambda: setting_values.NOBODY,
    )
    """From where scrapes are answered; empty for everywhere."""
    max_label_sets = Setting(
        lambda: DEFAULT_MAX_LABEL_SETS,
        setting_values.whole_number(1, 1_000_000),
        flat="METRICS_MAX_LABEL_SETS",
    )
    """Of each metric, in each process."""
    native_histograms = Setting(bool, setting_values.switch)
    """Whether histograms are native ones, too, where the scraper asks for those."""
    created = Setting(bool, setting_values.switch)
    """Whether scrapers that ask for OpenMetrics are told when each counter and histogram began to count."""
    count_scrapes = Setting(bool, setting_values.switch, flat="METRICS_COUNT_SCRAPES")
    """Whether requests for the exposition itself are measured."""

    def has_default_directory(self) -> bool:
        """Whether this app has chosen the directory, whose name others on this machine could also guess."""
        return self.directory == setting_values.find_default_directory()


def read_dictionary() -> Mapping[str, Any]:
    """The setting METRICS; empty if it is missing or not a dictionary."""
    found = getattr(settings, "METRICS", None)
    return found if isinstance(found, Mapping) else {}


SETTINGS: Mapping[str, Setting[Any]] = {
    setting.key: setting for setting in vars(Conf).values() if isinstance(setting, Setting)
}
READ_SETTINGS = frozenset(
    {"METRICS", *ConstantLabels.FLAT.values(), *[s.flat for s in SETTINGS.values() if s.flat]}
)
"""The names in Django's settings that this app reads."""

conf = Conf()
