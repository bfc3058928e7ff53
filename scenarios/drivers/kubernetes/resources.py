"""Kinds of Kubernetes objects, and where the API has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class Resource:
    """`group` is "" for the core API; `plural` is the name in paths and in the rules of a Role."""

    group: str
    version: str
    plural: str
    kind: str
    is_namespaced: bool = True

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def build_path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """The path of the list, or of one object; `namespace` is None for all of them."""
        parts = [f"/apis/{self.group}" if self.group else "/api", self.version]
        if self.is_namespaced and namespace is not None:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        parts += [quote(part, safe="") for part in (name, subresource) if part]
        return "/".join(parts)

    def __str__(self) -> str:
        return self.kind


PODS = Resource("", "v1", "pods", "Pod")
NODES = Resource("", "v1", "nodes", "Node", is_namespaced=False)
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", is_namespaced=False)
SERVICES = Resource("", "v1", "services", "Service")
EVENTS = Resource("", "v1", "events", "Event")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
STATEFUL_SETS = Resource("apps", "v1", "statefulsets", "StatefulSet")
REPLICA_SETS = Resource("apps", "v1", "replicasets", "ReplicaSet")
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet")
NETWORK_POLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")

KNOWN: Mapping[str, Resource] = {
    resource.kind: resource
    for resource in (
        PODS,
        NODES,
        SERVICES,
        EVENTS,
        DEPLOYMENTS,
        STATEFUL_SETS,
        REPLICA_SETS,
        DAEMON_SETS,
        NETWORK_POLICIES,
    )
}
