"""The platform of a run: installed drivers, registered services, secrets."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from pydantic import BaseModel

from scenarios.domain import log_context, service_urls
from scenarios.domain.environments import SEPARATOR, explain_missing_service, name_in
from scenarios.domain.errors import StepImpossible
from scenarios.domain.spelling import suggest
from scenarios.drivers.allow_lists import read_narrowed
from scenarios.drivers.hosts import TARGET_PREFIX
from scenarios.drivers.installed import installed_drivers
from scenarios.models import DEFAULT_PROXY_SECRET, Environment, Host, Service
from scenarios.ports import Proxy, RegisteredHost


def step_arguments() -> dict[str, type[BaseModel]]:
    """The models of the drivers' arguments by driver name. Drivers that only know faults have none."""
    return _list_models("Arguments")


def fault_arguments() -> dict[str, type[BaseModel]]:
    """The models of the fault drivers' arguments by driver name."""
    return _list_models("FaultArguments")


def _list_models(word: str) -> dict[str, type[BaseModel]]:
    drivers = installed_drivers().items()
    return {name: getattr(driver, word) for name, driver in drivers if hasattr(driver, word)}


@dataclass(frozen=True, slots=True)
class NamedProxy:
    """How a service names its fault proxy; `secret` is the name of the secret with the token."""

    control: str
    listener: str
    secret: str


# Of the registered services, in a sentence that is also read on a telephone.
MAX_NAMES_SHOWN = 8
HOW_TO_REGISTER = "Register services in the admin, or with 'scenario service add'."


class RegisteredServices:
    """The registered services and hosts at the time of creation: two short queries instead of some per step.

    `begun_with`: the addresses at the start of a run. Its faults are there, even if its services are now
    registered elsewhere. `pinned`: the same of their proxies, and of its hosts; see `pin_places`. With an
    `environment`, the services are those that it names, and no others.
    """

    def __init__(
        self,
        begun_with: Mapping[str, str] | None = None,
        pinned: Mapping[str, Any] | None = None,
        environment: str = "",
    ) -> None:
        self._environment = environment
        rows = list(
            Service.objects.values_list(
                "name", "base_url", "tls", "auth", "proxy", "proxy_listener", "proxy_secret"
            )
        )
        if environment:
            rows += _list_own_services([environment])
        self._addresses = {**{name: url for name, url, *_rest in rows}, **(begun_with or {})}
        proxies = {name: NamedProxy(*proxy) for name, _url, _tls, _auth, *proxy in rows if proxy[0]}
        kept = pinned or {}
        self._web = {name: {"tls": tls, "auth": auth} for name, _url, tls, auth, *_proxy in rows}
        self._web |= kept.get("web", {})
        self._proxies = {
            **proxies,
            **{name: NamedProxy(**proxy) for name, proxy in kept.get("proxies", {}).items()},
        }
        hosts = {name: found for name, *found in Host.objects.values_list("name", "address", "labels")}
        if chosen := kept.get("hosts"):
            # Others have been registered since: this run neither holds them nor was approved for them.
            hosts = {name: [found["address"], found["labels"]] for name, found in chosen.items()}
        self._hosts = [
            RegisteredHost(name, _format_address(address), labels)
            for name, (address, labels) in sorted(hosts.items())
        ]

    def _name(self, service: str) -> str:
        return name_in(service, self._environment)

    def address_of(self, service: str) -> str:
        address = self._addresses.get(self._name(service))
        # A document cannot name a service of an environment: the run says which one.
        if address is None or SEPARATOR in service:
            raise StepImpossible(self._explain_unknown(service))
        return address

    def _explain_unknown(self, service: str) -> str:
        if self._environment:
            ending = name_in("", self._environment)
            named = sorted(name.removesuffix(ending) for name in self._addresses if name.endswith(ending))
            return explain_missing_service(service, self._environment, named)
        known = sorted(name for name in self._addresses if SEPARATOR not in name)
        hint = suggest(service, known) or f"registered services: {_list_first(known)}."
        return f"unknown service {service!r}; {hint} {HOW_TO_REGISTER}"

    def find_proxy(self, service: str) -> NamedProxy:
        """How the service names its fault proxy.

        Raises:
            StepImpossible: no service has this name, or it names no proxy.
        """
        self.address_of(service)
        try:
            return self._proxies[self._name(service)]
        except KeyError:
            if self._environment:
                raise StepImpossible(
                    f"the service {service!r} of the environment {self._environment!r} names no fault proxy; "
                    "start one in front of it, and add its 'proxy' to the environment"
                ) from None
            raise StepImpossible(
                f"the service {service!r} names no fault proxy; start one in front of it, and register the "
                f"URL of its control API with 'manage.py scenario service add {service} --replace --url URL "
                "--proxy CONTROL_URL'"
            ) from None

    def web_defaults(self, service: str) -> Mapping[str, Any]:
        """`tls` and `auth` of the service, with references to secrets; "" stands for PROMETHEUS_URL."""
        if not service:
            return {"tls": settings.PROMETHEUS_TLS, "auth": settings.PROMETHEUS_AUTH}
        return self._web.get(self._name(service), {})

    def hosts(self) -> Sequence[RegisteredHost]:
        return self._hosts


def _list_first(names: Sequence[str]) -> str:
    more = len(names) - MAX_NAMES_SHOWN
    shown = ", ".join(names[:MAX_NAMES_SHOWN]) or "none yet"
    return f"{shown} and {more} more" if more > 0 else shown


def _format_address(address: str) -> str:
    try:
        return service_urls.format_ssh_address(address)
    except ValueError:
        return address  # stored by other means: only the steps on this host fail, and say why


def _list_own_services(environments: Iterable[str]) -> list[tuple[Any, ...]]:
    """Services of environments, with the columns of the registered ones."""
    found = Environment.objects.filter(name__in=list(environments)).values_list("name", "services")
    return [
        (
            name_in(name, environment),
            words["base_url"],
            words.get("tls"),
            words.get("auth"),
            words.get("proxy", ""),
            words.get("proxy_listener", ""),
            words.get("proxy_secret") or DEFAULT_PROXY_SECRET,
        )
        for environment, named in found
        for name, words in named.items()
    ]


def pin_places(names: Iterable[str]) -> tuple[dict[str, str], dict[str, Any]]:
    """What a run that holds these keeps: the addresses of the services, and their proxies and the hosts.

    A host is named as it is held.
    """
    held = set(names)
    services = Service.objects.filter(name__in=held)
    columns = ("name", "base_url", "tls", "auth", "proxy", "proxy_listener", "proxy_secret")
    rows = list(services.values_list(*columns))
    environments = {name.partition(SEPARATOR)[2] for name in held} - {""}
    rows += [row for row in _list_own_services(environments) if row[0] in held]
    proxies = {name: asdict(NamedProxy(*proxy)) for name, _url, _tls, _auth, *proxy in rows if proxy[0]}
    web = {name: {"tls": tls, "auth": auth} for name, _url, tls, auth, *_proxy in rows if tls or auth}
    named = [name.removeprefix(TARGET_PREFIX) for name in held if name.startswith(TARGET_PREFIX)]
    found = Host.objects.filter(name__in=named).values("name", "address", "labels") if named else ()
    hosts = {row["name"]: {"address": row["address"], "labels": row["labels"]} for row in found}
    pinned = {"proxies": proxies, "hosts": hosts, **({"web": web} if web else {})}
    return {name: url for name, url, *_rest in rows}, pinned


class ConfiguredSecrets:
    """Read on each use, so that changed secrets take effect."""

    def secret(self, name: str) -> str:
        """The value of the environment variable with the configured prefix, or else of the file of this name.

        Raises:
            StepImpossible: both are missing, or the value is empty.
        """
        variable = f"{settings.SCENARIO_SECRET_PREFIX}{name}"
        value = os.environ.get(variable)
        if value is None:
            value = self._in_file(settings.SCENARIO_SECRET_DIR / name, name)
        if not value:
            state = "missing" if value is None else "empty"
            raise StepImpossible(
                f"the secret {name!r} is {state}: set the environment variable {variable!r}, or put a file "
                f"{name!r} into SCENARIO_SECRET_DIR"
            )
        log_context.redactor.learn(value)
        return value

    def _in_file(self, path: Path, name: str) -> str | None:
        try:
            return path.read_text("utf-8").removesuffix("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StepImpossible(f"the secret {name!r} cannot be read: {type(error).__name__}") from None


class SitePlatform(RegisteredServices, ConfiguredSecrets):
    """Everything that the steps of a run may ask for; and, for checks, the allow lists at its creation."""

    def __init__(
        self,
        begun_with: Mapping[str, str] | None = None,
        pinned: Mapping[str, Any] | None = None,
        environment: str = "",
    ) -> None:
        super().__init__(begun_with, pinned, environment)
        self.allow_lists = read_narrowed()

    def proxy_of(self, service: str) -> Proxy:
        named = self.find_proxy(service)
        return Proxy(named.control, named.listener, self.secret(named.secret))
