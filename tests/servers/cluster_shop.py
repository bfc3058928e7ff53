"""A shop in a cluster: a namespace for each test, and faults of it."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from scenarios.drivers.kubernetes.arguments import KubernetesFaultArguments
from scenarios.drivers.kubernetes.changes import Target
from scenarios.drivers.kubernetes.driver import Kubernetes
from scenarios.drivers.kubernetes.marks import UNTIL
from scenarios.ports import FaultCall
from tests.servers.kube_apiserver import (
    ApiServer,
    build_deployment,
    build_namespace,
    build_pod,
)
from tests.unit.scenarios.drivers.conftest import Platform
from tests.unit.scenarios.drivers.one_fault import OneFault

LONG = 600.0


@dataclass
class Shop:
    """A namespace with the Deployment `cart`, which has three pods."""

    server: ApiServer
    namespace: str

    @property
    def deployment(self) -> str:
        return f"/apis/apps/v1/namespaces/{self.namespace}/deployments/cart"

    def find_path(self, plural: str, name: str = "") -> str:
        group = {"networkpolicies": "/apis/networking.k8s.io/v1"}.get(plural, "/api/v1")
        return f"{group}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    def fill(self, pods: int = 3) -> None:
        """Make those of the pods that are gone."""
        present = self.list_pods()
        for name in (f"cart-{number}" for number in range(pods)):
            if name not in present:
                self.server.apply(build_pod(name, self.namespace, "cart"))

    def list_pods(self, **labels: str) -> list[str]:
        selector = ",".join(f"{name}={value}" for name, value in labels.items())
        path = self.find_path("pods") + (f"?labelSelector={selector}" if selector else "")
        return sorted(pod["metadata"]["name"] for pod in self.server.ask("GET", path)["items"])

    def list_ready(self) -> list[str]:
        """The pods that are ready and stay."""
        found = self.server.ask("GET", self.find_path("pods"))["items"]
        return sorted(
            pod["metadata"]["name"]
            for pod in found
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        )

    def read_deployment(self) -> dict[str, Any]:
        found = self.server.get(self.deployment)
        assert found is not None
        return found

    def read_marks(self, path: str) -> set[str]:
        """The labels and annotations that faults have left on the object."""
        metadata = (self.server.get(path) or {"metadata": {}})["metadata"]
        entries = {**metadata.get("labels", {}), **metadata.get("annotations", {})}
        return {name for name in entries if name.startswith("test-coordinator/")}


def open_shop(server: ApiServer, pods: int = 3, namespace: str = "") -> Shop:
    """`pods` are made here; with `controllers`, they come by themselves."""
    shop = Shop(server, namespace or f"shop-{uuid4().hex[:8]}")
    server.ensure(build_namespace(shop.namespace))
    server.apply(build_deployment("cart", shop.namespace))
    shop.fill(pods)
    return shop


def build_fault(words: dict[str, Any], lease: float = LONG) -> OneFault:
    arguments = KubernetesFaultArguments.model_validate(words)
    return OneFault(Kubernetes(), arguments, Platform(), FaultCall(uuid4().hex, lease))


def scale(shop: Shop, replicas: int = 0, **more: Any) -> dict[str, Any]:
    return {"namespace": shop.namespace, "name": "cart", "scale": {"replicas": replicas}, **more}


def expire(server: ApiServer, fault: OneFault) -> None:
    """End the time of all that the fault has made or changed."""
    resources = {Target.from_json(each).resource: each["namespace"] for each in fault.call.target["objects"]}
    for resource, namespace in resources.items():
        path = resource.build_path(namespace)
        marked = server.ask("GET", f"{path}?labelSelector=test-coordinator/fault={fault.call.id}")["items"]
        assert marked
        for found in marked:
            over = {"metadata": {"annotations": {UNTIL: "2026-01-01T00:00:00Z"}}}
            server.merge(f"{path}/{found['metadata']['name']}", over)
