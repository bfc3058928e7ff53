"""The services of a namespace, offered for registration; nothing is registered by itself."""

from collections.abc import Iterator
from dataclasses import dataclass

from scenarios.drivers.kubernetes.client import Client, connected
from scenarios.drivers.kubernetes.resources import SERVICES
from scenarios.drivers.kubernetes.selection import require_namespace
from scenarios.drivers.kubernetes.transport import Object

# https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
_DOMAIN = "svc.cluster.local"
_SCHEMES_BY_PORT = {5432: "postgres", 6379: "redis", 443: "https", 8443: "https"}
_SCHEMES_BY_NAME = {"http", "https", "grpc", "redis"}
_WEB_PORTS = frozenset({80, 3000, 5000, 8000, 8080, 9000})


@dataclass(frozen=True, slots=True)
class Offered:
    """`name` is the one to register it by, `url` where it is reached in the cluster."""

    name: str
    url: str


async def list_offered(cluster: str | None, namespace: str, seconds: float = 20.0) -> list[Offered]:
    """The TCP ports of the services of the namespace, by their names.

    Raises:
        StepFailed: the namespace or the cluster cannot be read.
    """
    async with connected(cluster, seconds) as client:
        found = await _list_services(client, namespace)
    return [offered for service in found for offered in _list_ports(service, namespace)]


async def _list_services(client: Client, namespace: str) -> list[Object]:
    found = await client.list_objects(SERVICES, namespace)
    if not found:
        await require_namespace(client, namespace)
    return found


def _list_ports(service: Object, namespace: str) -> Iterator[Offered]:
    name = str(service["metadata"]["name"])
    ports = [port for port in service["spec"].get("ports") or () if port.get("protocol", "TCP") == "TCP"]
    if service["spec"].get("type") == "ExternalName":
        return
    for port in ports:
        own = name if len(ports) == 1 else f"{name}-{port.get('name') or port['port']}"
        place = f"{name}.{namespace}.{_DOMAIN}:{port['port']}"
        yield Offered(own[:63], f"{_find_scheme(port)}://{place}")


def _find_scheme(port: Object) -> str:
    """`appProtocol`, or the name of the port, or what usually has it; otherwise `tcp`."""
    for word in (port.get("appProtocol"), port.get("name")):
        first = str(word or "").lower().partition("-")[0]
        if first in _SCHEMES_BY_NAME:
            return first
        if first in {"postgres", "postgresql"}:
            return "postgres"
    number = int(port["port"])
    return _SCHEMES_BY_PORT.get(number) or ("http" if number in _WEB_PORTS else "tcp")
