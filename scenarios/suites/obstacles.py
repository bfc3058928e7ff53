"""Why a fault of a suite cannot be injected, as far as that is known without a run."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from scenarios.models import Environment, Host, Scenario, Service
from scenarios.suites.documents import SuiteDocument
from scenarios.suites.faults import SuiteFault, list_needs
from scenarios.suites.words import Dependency

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Registered:
    """What is registered and stored now: services with address and fault proxy, hosts, scenarios."""

    services: Mapping[str, tuple[str, str]]
    hosts: Collection[str]
    scenarios: Collection[str]


def read_registered(document: SuiteDocument) -> Registered:
    """Three queries, however large the suite is."""
    named = [dependency.service for dependency in document.spec.depends_on]
    return Registered(
        read_addresses(document, named),
        set(Host.objects.values_list("name", flat=True)),
        set(Scenario.objects.values_list("name", flat=True)),
    )


def read_addresses(document: SuiteDocument, names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """The address and the fault proxy of each of the services that is there."""
    wanted = set(names)
    if environment := document.spec.environment:
        found = Environment.objects.filter(name=environment).values_list("services", flat=True).first() or {}
        return {
            name: (words["base_url"], words.get("proxy", ""))
            for name, words in found.items()
            if name in wanted
        }
    rows = Service.objects.filter(name__in=wanted).values_list("name", "base_url", "proxy")
    return {name: (url, proxy) for name, url, proxy in rows}


def explain_missing_service(document: SuiteDocument, name: str) -> str:
    if environment := document.spec.environment:
        return f"the environment {environment!r} has no service {name!r} any more"
    return f"the service {name!r} is not registered any more"


def find_obstacles(document: SuiteDocument, cells: Iterable[tuple[Dependency, SuiteFault]]) -> dict[Key, str]:
    """By dependency and fault; those without an obstacle are missing."""
    registered = read_registered(document)
    found = {
        (dependency.service, fault.name): find_obstacle(document, dependency, fault, registered)
        for dependency, fault in cells
    }
    return {key: sentence for key, sentence in found.items() if sentence}


def find_obstacle(
    document: SuiteDocument, dependency: Dependency, fault: SuiteFault, registered: Registered
) -> str:
    """A sentence; "" if nothing is known to prevent the fault."""
    return next(_list_obstacles(document, dependency, fault, registered), "")


def _list_obstacles(
    document: SuiteDocument, dependency: Dependency, fault: SuiteFault, registered: Registered
) -> Iterator[str]:
    name, scenario = dependency.service, fault.find_scenario(dependency.kind)
    if not scenario:
        yield f"not for {dependency.kind}, only for {', '.join(fault.scenarios)}"
    if name not in registered.services:
        yield explain_missing_service(document, name)
        return
    if scenario not in registered.scenarios:
        yield f"the scenario {scenario!r} of the catalogue is not stored"
    url, proxy = registered.services[name]
    for need in list_needs(fault, dependency.kind):
        if need == "proxy" and not proxy:
            yield f"{name!r} names no fault proxy"
        elif need == "load" and document.load is None:
            yield "the suite has no load"
        elif need == "port" and find_port(dependency, url) is None:
            yield f"{name!r} has no port in its address: write 'port' in the suite"
        elif need in {"host", "unit", "folder"} and getattr(dependency, need) is None:
            yield f"the suite names no {need} of {name!r}"
        elif need == "host" and dependency.host not in registered.hosts:
            yield f"the host {dependency.host!r} is not registered any more"


def find_port(dependency: Dependency, url: str) -> int | None:
    """The port of the dependency's process: the one that the suite names, or that of its address."""
    if dependency.port is not None:
        return dependency.port
    try:
        return urlsplit(url).port
    except ValueError:
        return None
