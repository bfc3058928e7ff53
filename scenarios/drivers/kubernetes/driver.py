"""Faults and looks of Kubernetes clusters, which docs/kubernetes.md describes."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from scenarios.domain.errors import StepImpossible
from scenarios.drivers.gate import admit_url
from scenarios.drivers.kubernetes import kinds, looks
from scenarios.drivers.kubernetes.arguments import KubernetesArguments, KubernetesFaultArguments
from scenarios.drivers.kubernetes.client import Client, connected
from scenarios.drivers.kubernetes.clusters import NoCluster, find_cluster_name
from scenarios.drivers.kubernetes.kinds import Injection
from scenarios.drivers.kubernetes.namespaces import require_allowed
from scenarios.ports import FaultCall, Platform


class Kubernetes:
    """As a probe, it counts ready replicas, pods by their state, nodes and events of a cluster.

    As a fault, it breaks pods, workloads, nodes or any field of an object. Every object that a fault created
    or changed is marked with the time when the fault ends, one lease after the last renewal. After that, the
    watchdog or the cluster's own sweeper undoes it. The cluster replaces pods that were deleted or evicted.
    """

    name: ClassVar[str] = "kubernetes"
    libraries: ClassVar[tuple[str, ...]] = ("aiohttp",)
    Arguments: ClassVar[type[KubernetesArguments]] = KubernetesArguments
    FaultArguments: ClassVar[type[KubernetesFaultArguments]] = KubernetesFaultArguments

    def __init__(self) -> None:
        self._injected: dict[str, Injection] = {}

    def check(self, arguments: KubernetesArguments, platform: Platform) -> None:
        del platform
        _require_cluster(arguments)

    def check_fault(self, arguments: KubernetesFaultArguments, platform: Platform) -> None:
        del platform
        _require_cluster(arguments)

    async def reach(self, arguments: KubernetesArguments, platform: Platform) -> Mapping[str, Any]:
        await self.probe(arguments, platform)
        return {}

    async def probe(self, arguments: KubernetesArguments, platform: Platform) -> Mapping[str, Any]:
        _require_cluster(arguments)
        started = time.perf_counter()
        async with _reached(arguments.cluster, arguments, platform) as client:
            fields = await looks.look(client, arguments)
        return {**fields, "elapsed": time.perf_counter() - started}

    async def act(self, arguments: KubernetesArguments, platform: Platform) -> Mapping[str, Any]:
        del arguments, platform
        raise StepImpossible("a 'kubernetes' step only looks: use it as a probe, or 'fault: {kubernetes: …}'")

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        """Nothing lasts of deleted pods and restarts."""
        del arguments
        return True

    async def choose_target(
        self, arguments: KubernetesFaultArguments, platform: Platform
    ) -> Mapping[str, Any]:
        cluster = _require_cluster(arguments)
        async with _reached(cluster, arguments, platform) as client:
            targets, label = await kinds.choose(client, arguments)
        return {"cluster": cluster, "objects": [target.as_json() for target in targets], "label": label}

    async def inject(
        self, arguments: KubernetesFaultArguments, platform: Platform, fault: FaultCall
    ) -> Mapping[str, Any]:
        injection = self._injected.setdefault(fault.id, Injection(arguments, fault))
        async with _reached(str(fault.target["cluster"]), arguments, platform) as client:
            return await injection.inject(client)

    async def renew(self, arguments: KubernetesFaultArguments, platform: Platform, fault: FaultCall) -> None:
        injection = self._injected.get(fault.id) or Injection(arguments, fault)
        async with _reached(str(fault.target["cluster"]), arguments, platform) as client:
            await injection.renew(client)

    async def remove(self, arguments: KubernetesFaultArguments, platform: Platform, fault: FaultCall) -> bool:
        self._injected.pop(fault.id, None)
        async with _reached(str(fault.target["cluster"]), arguments, platform) as client:
            return await Injection(arguments, fault).remove(client)

    async def is_present(
        self, arguments: KubernetesFaultArguments, platform: Platform, fault: FaultCall
    ) -> bool:
        if arguments.kind in kinds.ONCE:
            return False
        async with _reached(str(fault.target["cluster"]), arguments, platform) as client:
            return await Injection(arguments, fault).is_present(client)


@asynccontextmanager
async def _reached(
    cluster: str | None, arguments: KubernetesArguments | KubernetesFaultArguments, platform: Platform
) -> AsyncIterator[Client]:
    """A client of the cluster, whose API server is in a network that the site allows."""
    async with connected(cluster, arguments.timeout) as client:
        await admit_url(client.cluster.server, platform)
        yield client


def _require_cluster(arguments: KubernetesArguments | KubernetesFaultArguments) -> str:
    """The name of the cluster that the step uses.

    Raises:
        StepImpossible: the settings name no such cluster, or not this namespace.
    """
    require_allowed(arguments.namespace)
    try:
        return find_cluster_name(arguments.cluster)
    except NoCluster as error:
        raise StepImpossible(str(error)) from error
