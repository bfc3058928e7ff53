"""What each kind of fault changes in a cluster, and how that is chosen, kept and removed."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.conf import settings

from scenarios.domain.errors import FaultGone, StepImpossible
from scenarios.drivers.kubernetes import changes, chaos, isolation, marks, pods
from scenarios.drivers.kubernetes.arguments import KubernetesFaultArguments, Patch
from scenarios.drivers.kubernetes.changes import Target
from scenarios.drivers.kubernetes.client import Client
from scenarios.drivers.kubernetes.marks import Change
from scenarios.drivers.kubernetes.resources import KNOWN, NETWORK_POLICIES, NODES, PODS, Resource
from scenarios.drivers.kubernetes.selection import list_names, select
from scenarios.drivers.kubernetes.transport import Object
from scenarios.ports import FaultCall

# Nothing of these lasts: what they did is replaced by the cluster itself.
ONCE = frozenset({"delete_pod", "evict", "rollout_restart"})
_UNSCHEDULABLE = "/spec/unschedulable"
_RESTARTED = f"/spec/template/metadata/annotations/{marks.PREFIX}~1restarted"


async def choose(client: Client, arguments: KubernetesFaultArguments) -> tuple[list[Target], str]:
    """The objects that will have the fault, and what to call them.

    Raises:
        StepImpossible: there are none, or they may not have it.
    """
    kind = arguments.kind
    if kind == "chaos":
        resource = await chaos.find_resource(client, arguments.chaos)
        chaos.build_spec(arguments.chaos, arguments.namespace, chaos.MIN_SECONDS)
        return [Target(resource, arguments.namespace, "", "")], f"{resource.kind} in {arguments.namespace}"
    resource = await _find_resource(client, arguments)
    found = await select(client, resource, arguments)
    if kind in {"delete_pod", "evict"}:
        pods.require_controllers(found)
    targets = [Target.of(resource, each) for each in found]
    if kind == "isolate":
        await isolation.require_effect(client, arguments, found)
        policy = Target(NETWORK_POLICIES, arguments.namespace, "", "")
        targets = [policy, *(targets if isolation.marks_pods(arguments) else ())]
    elif kind == "drain":
        for node in found:
            await pods.list_evicted(client, node["metadata"]["name"])
    where = f" in {arguments.namespace}" if arguments.namespace else ""
    return targets, f"{resource.kind} {list_names(found)}{where}"


async def _find_resource(client: Client, arguments: KubernetesFaultArguments) -> Resource:
    kind = arguments.kind
    if kind in {"delete_pod", "evict", "isolate"}:
        return PODS
    if kind in {"cordon", "drain"}:
        return NODES
    if kind == "patch":
        return await _find_patched(client, arguments)
    return KNOWN[arguments.scale.of if kind == "scale" else arguments.rollout_restart.of]


async def _find_patched(client: Client, arguments: KubernetesFaultArguments) -> Resource:
    wanted = arguments.patch
    name = f"{wanted.api_version}/{wanted.of}"
    if name not in settings.KUBERNETES_PATCHED_KINDS:
        known = ", ".join(settings.KUBERNETES_PATCHED_KINDS) or "none"
        raise StepImpossible(f"{name!r} may not be patched: KUBERNETES_PATCHED_KINDS names {known}")
    for found in await client.read_resources(wanted.api_version):
        if found.get("kind") == wanted.of and "/" not in str(found.get("name")):
            group, _, version = wanted.api_version.rpartition("/")
            resource = Resource(group, version, str(found["name"]), wanted.of, bool(found.get("namespaced")))
            if resource.is_namespaced != (arguments.namespace is not None):
                problem = "needs a 'namespace'" if resource.is_namespaced else "is in no namespace"
                raise StepImpossible(f"{wanted.of!r} {problem}")
            return resource
    raise StepImpossible(f"{client.name} has no kind {wanted.of!r} of {wanted.api_version!r}")


class Injection:
    """One fault, as this process injects, renews and removes it."""

    def __init__(self, arguments: KubernetesFaultArguments, fault: FaultCall) -> None:
        self.arguments = arguments
        self.fault = fault
        self.targets = [self._read_target(written) for written in fault.target["objects"]]
        self._changes: dict[Target, Sequence[Change]] = {}

    def _read_target(self, written: Mapping[str, Any]) -> Target:
        """What the fault makes has the name that follows from its id."""
        name = written["name"] or isolation.build_policy_name(self.fault.id)
        return Target.from_json({**written, "name": name})

    async def inject(self, client: Client) -> Mapping[str, Any]:
        kind, fault = self.arguments.kind, self.fault
        if kind == "delete_pod":
            return {"deleted": await pods.delete(client, self.targets, self.arguments.delete_pod.grace)}
        if kind == "evict":
            return {"evicted": await pods.evict(client, self.targets, self.arguments.evict.grace)}
        if kind == "isolate":
            return await isolation.isolate(client, self.arguments, fault.id, fault.lease, self.targets)
        if kind == "chaos":
            (target,) = self.targets
            made = await chaos.inject(client, self.arguments.chaos, target, fault.id, fault.lease)
            return {"made": f"{target.resource.kind} {made}"}
        if kind == "rollout_restart":
            return await self._restart(client)
        return await self._change(client)

    async def _restart(self, client: Client) -> Mapping[str, Any]:
        async def restart(target: Target) -> None:
            found = await client.get(target.resource, target.namespace, target.name)
            if found is None or found["metadata"].get("uid") != target.uid:
                raise StepImpossible(f"{target} was deleted meanwhile")
            change = marks.build_change(found, _RESTARTED, (self.fault.id,))
            operations = marks.build_operations([change])
            await client.patch(target.resource, target.namespace, target.name, operations)

        _, failures = await changes.for_each(self.targets, restart)
        changes.raise_failures(failures)
        return {"restarted": [target.name for target in self.targets]}

    async def _change(self, client: Client) -> Mapping[str, Any]:
        build = self._choose_change()

        async def change(target: Target) -> Sequence[Change]:
            settled = build
            if self.arguments.kind == "patch":
                settled = await self._try_out(client, target, build)
            return await changes.change(client, target, self.fault.id, self.fault.lease, settled)

        done = await changes.for_each_or_none(client, self.targets, self.fault.id, change)
        self._changes.update(done)
        report: dict[str, Any] = {"changed": [target.name for target in done]}
        if self.arguments.kind == "drain":
            report["evicted"] = await self._evict_all(client)
        return report

    async def _try_out(
        self, client: Client, target: Target, build: Callable[[Object], Sequence[Change]]
    ) -> Callable[[Object], Sequence[Change]]:
        """As `build`, with the value as the server writes it, after it has accepted it."""
        found = await client.get(target.resource, target.namespace, target.name)
        if found is None:
            return build
        operations = marks.build_operations(build(found))
        seen = await client.patch(target.resource, target.namespace, target.name, operations, dry_run=True)
        value = marks.find_values(seen, self.arguments.patch.path)
        return lambda again: [marks.build_change(again, self.arguments.patch.path, value)]

    async def _evict_all(self, client: Client) -> list[str]:
        """Raises what `evict` raises, after the nodes were removed: nothing stays half done."""
        try:
            found = [await pods.list_evicted(client, node.name) for node in self.targets]
            return await pods.evict(
                client, [pod for listed in found for pod in listed], self.arguments.drain.grace
            )
        except Exception:
            await changes.for_each(
                self.targets, lambda target: changes.remove_from(client, target, self.fault.id)
            )
            raise

    def _choose_change(self) -> Callable[[Object], Sequence[Change]]:
        if self.arguments.kind == "scale":
            replicas = self.arguments.scale.replicas
            return lambda found: [marks.build_change(found, "/spec/replicas", (replicas,))]
        if self.arguments.kind == "patch":
            patch: Patch = self.arguments.patch
            value = () if patch.removes else (patch.value,)
            return lambda found: [marks.build_change(found, patch.path, value)]
        return lambda found: [marks.build_change(found, _UNSCHEDULABLE, (True,))]

    async def renew(self, client: Client) -> None:
        if self.arguments.kind in ONCE:
            return
        if self.arguments.kind == "chaos":
            (target,) = self.targets
            await chaos.renew(client, self.arguments.chaos, target, self.fault.id, self.fault.lease)
            return

        async def renew(target: Target) -> None:
            await changes.renew(
                client, target, self.fault.id, self.fault.lease, self._changes.get(target, ())
            )

        _, failures = await changes.for_each(self.targets, renew)
        if gone := next((error for error in failures.values() if type(error) is FaultGone), None):
            raise gone
        changes.raise_failures(failures)

    async def remove(self, client: Client) -> bool:
        if self.arguments.kind in ONCE:
            return False
        if self.arguments.kind == "chaos":
            return await chaos.remove(client, self.targets[0], self.fault.id)
        results, failures = await changes.for_each(
            self.targets, lambda target: changes.remove_from(client, target, self.fault.id)
        )
        changes.raise_failures(failures)
        return any(results.values())

    async def is_present(self, client: Client) -> bool:
        if self.arguments.kind in ONCE:
            return False
        if self.arguments.kind == "chaos":
            return bool(await chaos.list_made(client, self.targets[0], self.fault.id))
        results, failures = await changes.for_each(
            self.targets, lambda target: changes.is_present(client, target, self.fault.id)
        )
        if any(results.values()):
            return True
        changes.raise_failures(failures)
        return False
