"""Namespaces of clusters: those that scenarios may use, and how a run holds what it touches there."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

from django.conf import settings

from scenarios.domain.errors import StepImpossible
from scenarios.domain.plan import Step
from scenarios.drivers.kubernetes.arguments import find_kind
from scenarios.drivers.kubernetes.clusters import NoCluster, list_clusters

DRIVER = "kubernetes"
# A run holds a namespace like a service; the name of a service cannot contain a slash.
TARGET_PREFIX = "k8s/"
# Nodes and other objects of no namespace; a namespace cannot be called so.
NODES = "-nodes"
EVERY_NAMESPACE = "*"
_MAX_LENGTH = 68
_DIGITS = 12
_CUT = "~"


def require_allowed(namespace: str | None) -> None:
    """Raises StepImpossible if the settings name other namespaces alone."""
    allowed = settings.KUBERNETES_NAMESPACES
    if allowed and namespace is not None and namespace not in allowed:
        raise StepImpossible(
            f"the namespace {namespace!r} is not allowed: KUBERNETES_NAMESPACES names {', '.join(allowed)}"
        )


def find_touched(steps: Iterable[Step]) -> set[str]:
    """What the acting steps touch in clusters, as a run holds it."""
    return {target for step in steps if (target := _find_target(step))}


def _find_target(step: Step) -> str:
    arguments: Mapping[str, Any] = step.arguments
    if step.driver != DRIVER or not find_kind(arguments):
        return ""
    namespace, cluster = arguments.get("namespace") or NODES, str(arguments.get("cluster") or "")
    with suppress(NoCluster):  # then the step says so
        if cluster == list_clusters()[0]:
            cluster = ""  # it has one name as a target, however a step calls it
    return format_target(str(namespace), cluster)


def format_target(namespace: str, cluster: str = "") -> str:
    """Shortened where it is too long to be stored; then nobody can read the whole name from it."""
    target = f"{TARGET_PREFIX}{namespace}" + (f"@{cluster}" if cluster else "")
    if len(target) <= _MAX_LENGTH:
        return target
    digits = sha256(target.encode()).hexdigest()[:_DIGITS]
    return f"{target[: _MAX_LENGTH - _DIGITS - 1]}{_CUT}{digits}"


def is_target(name: str) -> bool:
    return name.startswith(TARGET_PREFIX)


def describe_target(name: str) -> str:
    """As "namespace 'shop'" or "namespace 'shop' of cluster 'east'"."""
    namespace, _, cluster = name.removeprefix(TARGET_PREFIX).partition("@")
    what = "every node" if namespace == NODES else f"namespace {namespace!r}"
    return f"{what} of cluster {cluster!r}" if cluster else what


def find_protected(touched: Iterable[str]) -> Iterator[str]:
    """The protected ones of these targets. What has no namespace reaches all, so one is enough for it."""
    protected = set(settings.KUBERNETES_PROTECTED_NAMESPACES)
    for name in sorted(filter(is_target, touched)):
        namespace = name.removeprefix(TARGET_PREFIX).partition("@")[0]
        is_whole = namespace == NODES or _CUT in namespace  # what was cut off may name any
        if EVERY_NAMESPACE in protected or namespace in protected or (is_whole and protected):
            yield name
