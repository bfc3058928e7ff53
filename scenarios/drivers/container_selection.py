"""Which containers of an engine a step means, and which of them a fault may have."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import sha256
from pathlib import Path
from typing import Any

from django.conf import settings

from injector.host.container_requests import inspect
from injector.host.containers import MAX_CONTAINERS
from injector.host.engine import Engine
from scenarios.domain.addresses import EVERY_PORT
from scenarios.domain.errors import StepImpossible
from scenarios.drivers.container_arguments import ContainerFaultArguments, Selection
from scenarios.drivers.host_arguments import count_picked

Json = dict[str, Any]
# A container with this label is never broken, nor is another one of its compose project.
REFUSING_LABEL = "test-coordinator.faults"
REFUSED = "refused"
PROJECT_LABEL = "com.docker.compose.project"
_ID = re.compile(r"[0-9a-f]{64}")


def list_containers(engine: Engine) -> list[Json]:
    """All containers of the engine, including those that do not run, by name."""
    found = engine.get("/containers/json?all=1")
    if not isinstance(found, list) or not all(isinstance(one, dict) and one.get("Id") for one in found):
        raise StepImpossible(f"engine {engine.name!r} does not list containers as an engine does")
    return sorted(found, key=name_container)


def name_container(listed: Mapping[str, Any]) -> str:
    names = listed.get("Names") or [listed.get("Name") or str(listed.get("Id"))[:12]]
    # A link to another container is a second name, with a slash inside.
    own = [name.lstrip("/") for name in names if "/" not in name.lstrip("/")]
    return str(own[0] if own else names[0].lstrip("/"))


def find_selected(selection: Selection, listed: Sequence[Json]) -> list[Json]:
    """The containers that the words of the step select, in any state."""
    if selection.name is not None:
        return [one for one in listed if name_container(one) == selection.name]
    where = selection.where or {}
    return [
        one
        for one in listed
        if where.items() <= (one.get("Labels") or {}).items() and _has_image(one, selection.image)
    ]


def _has_image(listed: Json, pattern: str | None) -> bool:
    if pattern is None:
        return True
    image = str(listed.get("Image", ""))
    tagless = image.rpartition(":")[0] if "/" not in image.rpartition(":")[2] else image
    return any(name and fnmatchcase(name, pattern) for name in (image, tagless))


def choose_containers(arguments: ContainerFaultArguments, engine: Engine) -> list[Json]:
    """The containers that have the fault, as the engine describes each: the same for the same seed.

    Raises:
        StepImpossible: there are none, or all, or one that the site does not allow.
    """
    listed = list_containers(engine)
    found = find_selected(arguments, listed)
    if arguments.name is None:
        found = _pick(arguments, [one for one in found if _is_running(one)], listed, engine)
    if not found:
        known = ", ".join(map(name_container, listed))[:300] or "none"
        raise StepImpossible(
            f"engine {engine.name!r} has no container with {arguments.describe()}; its containers: {known}"
        )
    if len(found) > MAX_CONTAINERS:
        raise StepImpossible(
            f"{len(found)} containers have {arguments.describe()}; a fault has at most {MAX_CONTAINERS}: "
            "use 'pick'"
        )
    for one in found:
        _require_allowed(one, listed)
    return [_inspect(engine, one) for one in found]


def _pick(
    arguments: ContainerFaultArguments, found: list[Json], listed: Sequence[Json], engine: Engine
) -> list[Json]:
    if not found:
        raise StepImpossible(f"engine {engine.name!r} has no running container with {arguments.describe()}")
    count = count_picked(arguments.pick, len(found))
    if count > len(found):
        raise StepImpossible(
            f"pick={count} is more than the {len(found)} running containers with {arguments.describe()}"
        )
    running = sum(map(_is_running, listed))
    if 1 < count == running and not arguments.allow_all:
        raise StepImpossible(
            f"all {running} running containers of engine {engine.name!r} would have the fault: choose fewer, "
            "or write 'allow_all: true'"
        )
    found.sort(key=lambda one: sha256(f"{arguments.seed}/{name_container(one)}".encode()).digest())
    return sorted(found[:count], key=name_container)


def _is_running(listed: Json) -> bool:
    return listed.get("State") == "running"


def _inspect(engine: Engine, listed: Json) -> Json:
    state = inspect(engine, listed["Id"])
    if state is None:
        raise StepImpossible(f"container {name_container(listed)!r} has just been removed")
    return state


def is_allowed(name: str, labels: Mapping[str, str]) -> bool:
    """Whether ALLOWED_CONTAINERS has a pattern of this name, or of one of these labels."""
    for pattern in settings.ALLOWED_CONTAINERS:
        label, equals, value = pattern.partition("=")
        if equals:
            if label in labels and fnmatchcase(labels[label], value):
                return True
        elif fnmatchcase(name, pattern):
            return True
    return False


def _require_allowed(listed: Json, everything: Sequence[Json]) -> None:
    name, labels = name_container(listed), listed.get("Labels") or {}
    own = next((one for one in everything if one["Id"] in find_own_ids()), None)
    refusing = [one for one in everything if (one.get("Labels") or {}).get(REFUSING_LABEL) == REFUSED]
    for other in filter(None, [own, *refusing]):
        project = (other.get("Labels") or {}).get(PROJECT_LABEL)
        if other["Id"] == listed["Id"] or (project and labels.get(PROJECT_LABEL) == project):
            label = f"it, or its compose project, has the label {REFUSING_LABEL}={REFUSED}"
            reason = "it belongs to the coordinator itself" if other is own else label
            raise StepImpossible(f"container {name!r} is never broken: {reason}")
    if not is_allowed(name, labels):
        known = ", ".join(map(repr, settings.ALLOWED_CONTAINERS)) or "none"
        raise StepImpossible(
            f"container {name!r} may not be broken: ALLOWED_CONTAINERS names {known}; add the name, or a "
            "label as 'com.docker.compose.project=shop'"
        )


def find_own_ids() -> frozenset[str]:
    """What may be the id of the container that this process runs in; nothing where it runs in none."""
    found: set[str] = set()
    for path in ("/proc/self/cgroup", "/proc/self/mountinfo"):
        try:
            text = Path(path).read_text("utf-8", "replace")
        except OSError:
            continue
        # The container's own host name, say, is a mount from a folder of this id.
        lines = (line for line in text.splitlines() if "cgroup" in path or "/etc/hostname" in line)
        found.update(match for line in lines for match in _ID.findall(line))
    return frozenset(found)


def list_addresses(state: Json, engine_host: str) -> list[tuple[str, int]]:
    """Where services in this container may be registered: its own addresses, and its published ports.

    EVERY_PORT stands for all ports of an address of its own. `engine_host` is where it publishes them.
    """
    network = state.get("NetworkSettings") or {}
    endpoints = (network.get("Networks") or {}).values()
    own = [str(endpoint.get(word) or "") for endpoint in endpoints if endpoint for word in _ADDRESS_WORDS]
    found = [(ip, EVERY_PORT) for ip in own if ip]
    for bindings in (network.get("Ports") or {}).values():
        for binding in bindings or ():
            ip = str(binding.get("HostIp") or "")
            is_any = not ip or ipaddress.ip_address(ip).is_unspecified
            port = int(binding.get("HostPort") or 0)
            if port:
                found.append((engine_host if is_any else ip, port))
    return list(dict.fromkeys(found))


_ADDRESS_WORDS = ("IPAddress", "GlobalIPv6Address")


def resolve(addresses: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """The same with numbers in the place of names; a name that cannot be resolved stays."""
    found: list[tuple[str, int]] = []
    for host, port in addresses:
        try:
            entries = socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            found.append((host, port))
        else:
            found += [(str(entry[4][0]), port) for entry in entries]
    return list(dict.fromkeys(found))
