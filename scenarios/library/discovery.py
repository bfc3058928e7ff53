"""Services of compose projects that may be registered, as the container engines know them.

Nothing is registered here: the user decides which of them matter, and under which name.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings

from scenarios.domain.addresses import Place, parse_endpoint, resolve_places
from scenarios.domain.errors import StepFailed
from scenarios.drivers.container_engines import EngineAddress, call, find_engine
from scenarios.drivers.container_selection import PROJECT_LABEL, list_containers, name_container
from scenarios.models import Service

SERVICE_LABEL = "com.docker.compose.service"
# The scheme of a service by the port inside its container; tcp for others.
SCHEMES = {443: "https", 5432: "postgres", 6379: "redis", 8443: "https"}
WEB_PORTS = frozenset({80, 3000, 5000, 8000, 8080, 8081, 8888, 9000, 9090})
MAX_NAME_LENGTH = 63


@dataclass(frozen=True, slots=True)
class DiscoveredService:
    """One port of a compose service. `name` is a suggestion; `urls` are where it may be reached, best first.

    `registered`: the service that is registered at one of these addresses; "" if none is.
    """

    name: str
    engine: str
    project: str
    service: str
    port: int
    containers: tuple[str, ...]
    urls: tuple[str, ...]
    registered: str = ""


@dataclass(frozen=True, slots=True)
class Discovery:
    """`failures`: a sentence for each engine that could not be asked."""

    services: list[DiscoveredService] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def discover_services(engine: str = "", project: str = "") -> Discovery:
    """The services of this engine, or of all, and of this project, or of all."""
    found = Discovery()
    for name in [engine] if engine else sorted(settings.CONTAINER_ENGINES):
        try:
            address = find_engine(name)
            listed = asyncio.run(call(list_containers, address.open()))
        except StepFailed as error:
            found.failures.append(str(error))
        else:
            found.services.extend(_find_services(address, listed, project))
    if not settings.CONTAINER_ENGINES and not engine:
        found.failures.append("no container engine is known: set CONTAINER_ENGINES")
    return Discovery(list(_mark_registered(found.services)), found.failures)


def _find_services(
    address: EngineAddress, listed: Iterable[Mapping[str, Any]], project: str
) -> list[DiscoveredService]:
    grouped: dict[tuple[str, str, int], dict[str, list[str]]] = {}
    for one in listed:
        labels = one.get("Labels") or {}
        of_project, service = labels.get(PROJECT_LABEL, ""), labels.get(SERVICE_LABEL, "")
        if not service or (project and of_project != project) or one.get("State") != "running":
            continue
        for port, (published, inside) in _list_urls(one, address).items():
            new: dict[str, list[str]] = {"containers": [], "published": [], "inside": []}
            group = grouped.setdefault((of_project, service, port), new)
            group["containers"].append(name_container(one))
            group["published"] += published
            group["inside"] += inside
    ports = [(of_project, service) for of_project, service, _ in grouped]
    return [
        DiscoveredService(
            name=_suggest_name(of_project, service, port if ports.count((of_project, service)) > 1 else 0),
            engine=address.name,
            project=of_project,
            service=service,
            port=port,
            containers=tuple(group["containers"]),
            urls=tuple(dict.fromkeys([*group["published"], *group["inside"]])),
        )
        for (of_project, service, port), group in sorted(grouped.items())
    ]


def _list_urls(listed: Mapping[str, Any], address: EngineAddress) -> dict[int, tuple[list[str], list[str]]]:
    """By the port inside, where it is published, and the container's own addresses on the engine's machine.

    The latter change when the container is made again.
    """
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    ips = [str(network["IPAddress"]) for network in networks.values() if network and network.get("IPAddress")]
    found: dict[int, tuple[list[str], list[str]]] = {}
    for entry in listed.get("Ports") or ():
        port, public = int(entry.get("PrivatePort") or 0), int(entry.get("PublicPort") or 0)
        if not port or entry.get("Type", "tcp") != "tcp":
            continue
        published, inside = found.setdefault(port, ([], []))
        if public:
            ip = str(entry.get("IP") or "")
            is_any = ip in {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound to
            published.append(_build_url((address.host or "127.0.0.1") if is_any else ip, port, public))
        if address.socket:
            inside += [_build_url(ip, port, port) for ip in ips]
    return found


def _build_url(host: str, inside: int, port: int) -> str:
    scheme = SCHEMES.get(inside, "http" if inside in WEB_PORTS else "tcp")
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def _suggest_name(project: str, service: str, port: int) -> str:
    words = f"{project}-{service}" if project else service
    text = re.sub(r"[^a-z0-9]+", "-", f"{words}-{port}" if port else words, flags=re.IGNORECASE).lower()
    return text.strip("-")[:MAX_NAME_LENGTH].strip("-")


def _mark_registered(found: Iterable[DiscoveredService]) -> Iterator[DiscoveredService]:
    rows = Service.objects.values_list("name", "base_url")
    places = {name: _find_places(url) for name, url in rows}
    for one in found:
        own = frozenset().union(*map(_find_places, one.urls))
        name = next((name for name, of_service in places.items() if own & of_service), "")
        yield replace(one, registered=name)


def _find_places(url: str) -> frozenset[Place]:
    endpoint = parse_endpoint(url)
    return resolve_places(endpoint) if endpoint is not None else frozenset()
