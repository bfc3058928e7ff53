"""What `kubernetes` probes see: ready replicas, states of pods, nodes and events."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from scenarios.drivers.kubernetes.arguments import KubernetesArguments
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.resources import EVENTS, KNOWN, NODES, PODS, Resource
from scenarios.drivers.kubernetes.selection import format_fields, format_labels, require_namespace
from scenarios.drivers.kubernetes.transport import Object

MAX_MESSAGES = 20
_DAEMON_SET = "DaemonSet"


async def look(client: Client, arguments: KubernetesArguments) -> dict[str, Any]:
    """The fields of the probe.

    Raises:
        StepImpossible: the namespace does not exist.
        StepFailed: the server did not answer.
    """
    resource = KNOWN[arguments.of]
    if resource == PODS:
        fields = await _look_at_pods(client, arguments)
    else:
        objects = await _list(client, resource, arguments)
        if resource == NODES:
            fields = _count_nodes(objects)
        elif resource == EVENTS:
            fields = _count_events(objects, client.now(), arguments.since)
        else:
            fields = _count_replicas(objects, arguments.of)
    if not fields["found"]:
        await require_namespace(client, arguments.namespace if resource.is_namespaced else None)
    return fields


async def _list(client: Client, resource: Resource, arguments: KubernetesArguments) -> list[Object]:
    namespace = arguments.namespace if resource.is_namespaced else None
    return await client.list_objects(
        resource, namespace, labels=format_labels(arguments.where), fields=_build_fields(arguments)
    )


def _build_fields(arguments: KubernetesArguments) -> str:
    name = {"metadata.name": arguments.name} if arguments.name else {}
    return format_fields({**name, **(arguments.fields or {})})


async def _look_at_pods(client: Client, arguments: KubernetesArguments) -> dict[str, Any]:
    """From the table that kubectl shows: whole pods would be ten times as much, once a second."""
    rows = await client.read_table(
        PODS,
        arguments.namespace,
        labels=format_labels(arguments.where),
        fields=_build_fields(arguments),
    )
    return {
        "found": len(rows),
        "ready": sum(_is_ready(str(row.get("Ready"))) for row in rows),
        "phases": dict(Counter(str(row.get("Status")) for row in rows)),
        "restarts": sum(_read_number(row.get("Restarts")) for row in rows),
    }


def _is_ready(cell: str) -> bool:
    """A cell such as "1/2": so many of the containers are ready."""
    ready, _, wanted = cell.partition("/")
    return ready == wanted and ready not in {"", "0"}


def _read_number(cell: Any) -> int:
    """A number, or text that begins with one: "3 (5m ago)"."""
    first = str(cell).split(" ", 1)[0]
    return int(first) if first.isdecimal() else 0


def _count_replicas(objects: Sequence[Object], of: str) -> dict[str, Any]:
    words = (
        ("numberReady", "desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        if of == _DAEMON_SET
        else ("readyReplicas", "", "updatedReplicas", "availableReplicas")
    )
    ready, wanted, updated, available = words
    statuses = [found.get("status") or {} for found in objects]
    return {
        "found": len(objects),
        "ready": _add(statuses, ready),
        "wanted": _add(statuses, wanted)
        if wanted
        else sum(int((found.get("spec") or {}).get("replicas", 1)) for found in objects),
        "updated": _add(statuses, updated),
        "available": _add(statuses, available),
    }


def _add(statuses: Sequence[Mapping[str, Any]], word: str) -> int:
    return sum(int(status.get(word) or 0) for status in statuses)


def _count_nodes(nodes: Sequence[Object]) -> dict[str, Any]:
    conditions = [(node.get("status") or {}).get("conditions") or () for node in nodes]
    return {
        "found": len(nodes),
        "ready": sum(
            any(each.get("type") == "Ready" and each.get("status") == "True" for each in listed)
            for listed in conditions
        ),
        "unschedulable": sum(bool((node.get("spec") or {}).get("unschedulable")) for node in nodes),
    }


def _count_events(events: Sequence[Object], now: datetime, since: float | None) -> dict[str, Any]:
    recent = sorted(
        (event for event in events if since is None or _read_time(event) >= now - timedelta(seconds=since)),
        key=_read_time,
        reverse=True,
    )
    reasons: Counter[str] = Counter()
    for event in recent:
        series = event.get("series") or {}
        reasons[str(event.get("reason"))] += int(event.get("count") or series.get("count") or 1)
    messages = [str(event.get("message") or event.get("note") or "") for event in recent[:MAX_MESSAGES]]
    return {"found": len(recent), "reasons": dict(reasons), "messages": messages}


def _read_time(event: Object) -> datetime:
    """When it occurred last."""
    series = event.get("series") or {}
    written = (
        series.get("lastObservedTime")
        or event.get("lastTimestamp")
        or event.get("eventTime")
        or event["metadata"]["creationTimestamp"]
    )
    return datetime.fromisoformat(str(written))
