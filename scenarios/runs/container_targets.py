"""The containers that a run touches, by the names under which it holds them.

Admission asks no engine. So a fault of containers that labels or an image choose holds all containers of
their engine: which ones those are is known when the fault is injected.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from hashlib import sha256
from typing import Any, Self

from django.conf import settings
from django.db.models import Q

from scenarios.domain.addresses import EVERY_HOST, Endpoint, leads_to_itself, normalize_host
from scenarios.domain.plan import Step
from scenarios.drivers.container_engines import name_engine
from scenarios.drivers.host_reach import list_reached

DRIVER = "container"
# The name of a service cannot contain a slash.
PREFIX = "container/"
ALL = "*"
# After the part of a long name that is left; no container has it in its name.
CUT = "~"
# As long as the name of a hold may be.
MAX_LENGTH = 68
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class ContainerTargets:
    """`names` are held; `reached` is where faults of networks inside containers break connections."""

    names: frozenset[str] = frozenset()
    reached: frozenset[Endpoint] = frozenset()

    @classmethod
    def of(cls, steps: Iterable[Step]) -> Self:
        arguments = [step.arguments for step in steps if step.driver == DRIVER and step.operation is not None]
        return cls(
            frozenset(map(_name_hold, arguments)),
            frozenset(endpoint for words in arguments for endpoint in _list_endpoints(words)),
        )

    @classmethod
    def from_json(cls, written: Mapping[str, Any] | None) -> Self:
        stored = written or {}
        reached = ((str(host), int(port)) for host, port in stored.get("in_containers", ()))
        return cls(frozenset(stored.get("containers", ())), frozenset(reached))

    def as_json(self) -> dict[str, Any]:
        return {"containers": sorted(self.names), "in_containers": sorted(map(list, self.reached))}


def is_target(name: str) -> bool:
    """Whether this is held as a container, or as all of an engine."""
    return name.startswith(PREFIX)


def describe(name: str) -> str:
    """As "container 'shop-1' of engine 'local'"."""
    engine, _, container = name.removeprefix(PREFIX).partition("/")
    if container == ALL:
        return f"every container of engine {engine!r}"
    return f"container {container!r} of engine {engine!r}"


def build_hold_filter(names: Iterable[str]) -> Q:
    """The holds that exclude these targets, besides those of the same names."""
    found = Q()
    for name in filter(is_target, names):
        engine, _, container = name.rpartition("/")
        other = Q(service__startswith=f"{engine}/") if container == ALL else Q(service=f"{engine}/{ALL}")
        found |= other
    return found


def find_excluding(name: str, others: Iterable[str]) -> str:
    """The first of the others that excludes this target of another run; "" where none does."""
    if not is_target(name):
        return ""
    engine, _, container = name.rpartition("/")
    for other in others:
        others_engine, _, others_container = other.rpartition("/")
        if engine == others_engine and (
            ALL in {container, others_container} or container == others_container
        ):
            return other
    return ""


def find_shared(names: Iterable[str], others: Iterable[str]) -> list[str]:
    """Those of the names that exclude one of the others."""
    theirs = list(filter(is_target, others))
    return sorted(name for name in names if find_excluding(name, theirs))


def find_protected(touched: Iterable[str]) -> list[str]:
    """The protected ones of these targets. What may be any container is, if one of them is protected."""
    patterns = settings.PROTECTED_CONTAINERS
    return sorted(name for name in filter(is_target, touched) if patterns and _may_match(name, patterns))


def _may_match(name: str, patterns: Iterable[str]) -> bool:
    container = name.rpartition("/")[2]
    is_whole = container != ALL and CUT not in container
    return not is_whole or any(fnmatchcase(container, pattern) for pattern in patterns)


def _name_hold(arguments: Mapping[str, Any]) -> str:
    engine, name = arguments.get("engine"), arguments.get("name")
    prefix = f"{PREFIX}{name_engine(engine if isinstance(engine, str) else None)}"
    whole = f"{prefix}/{name if isinstance(name, str) and '/' not in name else ALL}"
    if len(whole) <= MAX_LENGTH:
        return whole
    digest = sha256(whole.encode()).hexdigest()[:_DIGITS]
    return f"{whole[: MAX_LENGTH - _DIGITS - 1]}{CUT}{digest}"


def _list_endpoints(arguments: Mapping[str, Any]) -> Iterable[Endpoint]:
    for address, port in list_reached(arguments):
        if address == "any":
            yield EVERY_HOST, port
        elif address and not leads_to_itself(address):  # else the container itself, which is held
            yield normalize_host(address), port
