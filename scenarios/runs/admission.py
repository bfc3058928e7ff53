"""Which queued run may begin now: the global stop, a missing approval, held services and
MAX_CONCURRENT_RUNS may keep it.

Claims and the global stop lock the same row first, so that of two runs that want one service, and of a
claim and a stop at the same moment, one sees what the other has done.
"""

from collections.abc import Iterable
from dataclasses import replace
from uuid import UUID

from django.conf import settings
from django.db.models import Q

from scenarios.domain.counts import format_count
from scenarios.domain.outcomes import ApprovalState
from scenarios.domain.plan import Step
from scenarios.drivers import hosts
from scenarios.drivers.kubernetes import namespaces
from scenarios.models import Approval, Fault, GlobalStop, Hold, Run, RunQuerySet, Service
from scenarios.runs import container_targets, host_targets, registry
from scenarios.runs.container_targets import ContainerTargets
from scenarios.runs.host_targets import HostTargets
from scenarios.runs.registry import Targets

MAX_RUNS_LOOKED_UP = 100
NEEDS_APPROVAL = "it needs the approval of a second person"


def lock_admission() -> GlobalStop:
    """The row that says whether the global stop is pulled; must be called within a transaction."""
    GlobalStop.objects.get_or_create(pk=GlobalStop.ONLY)
    return GlobalStop.objects.select_for_update().get(pk=GlobalStop.ONLY)


def find_obstacle(run: Run, stop: GlobalStop) -> str:
    """Why the queued run cannot begin now, as a sentence; "" where it can."""
    if stop.pulled_at is not None:
        return describe_stop(stop)
    if services := find_unapproved(run):
        return describe_missing_approval(services)
    places, no_place = count_places()
    return _find_hold(run.services) or ("" if places > 0 else no_place) or _find_earlier_run(run)


def describe_stop(stop: GlobalStop) -> str:
    return f"{stop}: release it to go on"


def find_unapproved(run: Run) -> list[str]:
    """The protected services and hosts that the run touches and nobody has approved it for."""
    return filter_unapproved(run.pk, find_protected(run.services))


def filter_unapproved(run_id: UUID, names: list[str]) -> list[str]:
    """Those of the protected services and hosts that nobody has approved the run for."""
    if not names:
        return []
    approval = Approval.objects.filter(run_id=run_id, state=ApprovalState.APPROVED).first()
    approved = set(approval.services) if approval is not None else set()
    return [name for name in names if name not in approved and not _covers_every_host(approved, name)]


def _covers_every_host(approved: set[str], name: str) -> bool:
    return hosts.ANY_HOST in approved and name.startswith(hosts.TARGET_PREFIX)


def find_protected(names: Iterable[str]) -> list[str]:
    """The protected ones of these services and hosts."""
    touched = list(names)
    services = Service.objects.filter(is_protected=True, name__in=touched).order_by("name")
    own = registry.find_protected_in_environments(touched)
    return [*services.values_list("name", flat=True), *own, *_find_protected_places(touched)]


def _find_protected_places(touched: Iterable[str]) -> list[str]:
    """The protected hosts, containers and namespaces."""
    names = list(touched)
    return [
        *host_targets.find_protected(names, settings.PROTECTED_HOSTS),
        *container_targets.find_protected(names),
        *namespaces.find_protected(names),
    ]


def describe_missing_approval(services: Iterable[str]) -> str:
    names = ", ".join(_quoted(name) for name in services)
    return f"{NEEDS_APPROVAL}: {names} is protected"


def _quoted(target: str) -> str:
    """Quote the name of a service; a host is called a host, too."""
    return describe_target(target).removeprefix("service ")


def _find_hold(services: Iterable[str]) -> str:
    names = list(services)
    forms = registry.list_hold_names(names)
    wanted = Q(service__in=forms)
    if hosts.ANY_HOST in names:  # which one is not known before a worker claims the run
        wanted |= Q(service__startswith=hosts.TARGET_PREFIX)
    wanted |= container_targets.build_hold_filter(names)
    hold = Hold.objects.filter(wanted).select_related("run").first()
    return describe_hold(hold, forms.get(hold.service, "")) if hold is not None else ""


def describe_hold(hold: Hold, target: str = "") -> str:
    """A sentence; `target` is the name that the waiting run uses for what is held."""
    return f"{describe_target(target or hold.service)} is held by {hold}"


def describe_target(target: str) -> str:
    """As "service 'exchange'", "host 'alpha'" or "address 127.0.0.1:8080"."""
    if target.startswith(hosts.TARGET_PREFIX):
        return f"host {target.removeprefix(hosts.TARGET_PREFIX)!r}"
    if container_targets.is_target(target):
        return container_targets.describe(target)
    if namespaces.is_target(target):
        return namespaces.describe_target(target)
    if target.startswith(registry.HIDDEN_PREFIX):
        return "an address that no document names"
    return f"address {target}" if registry.is_address(target) else f"service {target!r}"


def count_places() -> tuple[int, str]:
    """How many more runs may go on at once, and what to say where none may."""
    running = Run.objects.running().count()
    verb = "is" if running == 1 else "are"
    full = (
        f"{format_count(running, 'run')} {verb} already in progress, and MAX_CONCURRENT_RUNS is "
        f"{settings.MAX_CONCURRENT_RUNS}"
    )
    return settings.MAX_CONCURRENT_RUNS - running, full


def _find_earlier_run(run: Run) -> str:
    """An earlier run in line gets a service first: otherwise a run that needs two might never begin."""
    if not run.services:
        return ""
    for other in Run.objects.before_in_line(run).for_a_list():
        own, theirs = host_targets.list_claims(run), host_targets.list_claims(other)
        if shared := sorted(theirs & own) or container_targets.find_shared(own, theirs):
            return describe_earlier_run(other, shared[0])
    return ""


def describe_earlier_run(other: Run, service: str) -> str:
    reason = f"has the priority {other.priority}" if other.priority else "was queued earlier"
    return f"{other}, which {reason}, is waiting for {describe_target(service)}"


def hold_services(run: Run) -> None:
    """Hold every service that the run's actions touch."""
    Hold.objects.bulk_create([Hold(service=service, run=run) for service in run.services])


def release_holds(run: Run) -> None:
    """Release an ended run's holds, except where it left a fault, or one may still arrive."""
    left = Fault.objects.still_open().filter(run=run).values_list("service", "services")
    still_broken = {name for service, touched in left for name in (service, *touched)}
    Hold.objects.filter(run=run).exclude(service__in=still_broken).delete()


def find_touched_and_protected(steps: Iterable[Step], environment: str = "") -> tuple[list[str], list[str]]:
    """As `find_touched`, and which of these are protected; reads the registered services once."""
    acting = list(steps)
    targets = _add_reached(collect_targets(acting, environment))
    registered = registry.read_registry(targets)
    touched = registered.touched(targets) | host_targets.find_touched(targets.hosts)
    touched |= targets.containers.names | namespaces.find_touched(acting)
    return sorted(touched), [*registered.find_protected(touched), *_find_protected_places(touched)]


def find_touched(
    steps: Iterable[Step], host: str = hosts.ANY_HOST, *, lookups: bool = True, environment: str = ""
) -> list[str]:
    """What the steps act on: services by name, or by where one is registered however it is spelt, and `host`.

    Of an address where none is registered, the address that it is resolved to.

    A service or host that is registered twice is touched under both names. Steps that act on the host of
    their process, as those of `command` and `signal`, touch that host as a whole: which of its processes a
    command reaches cannot be known. A fault of a host that names a port, or an address, touches the services
    there. What `chaostoolkit` steps touch is not known; the settings limit it.
    """
    acting = list(steps)
    targets = _add_reached(collect_targets(acting, environment))
    touched = registry.find_touched(targets, lookups=lookups)
    touched |= host_targets.find_touched(targets.hosts, lookups=lookups)
    touched |= targets.containers.names | namespaces.find_touched(acting)
    return sorted({host if name == hosts.ANY_HOST else name for name in touched})


def collect_targets(steps: Iterable[Step], environment: str = "") -> Targets:
    """What the steps name in the environment.

    Of one that is bound to its host, also where the process listens that it names.
    """
    acting = list(steps)
    listening = (_find_listening_addresses(step) for step in acting if hosts.is_host_bound(step))
    named = Targets.of(acting, set().union(*listening), environment)
    return replace(named, hosts=HostTargets.of(acting), containers=ContainerTargets.of(acting))


def _add_reached(targets: Targets) -> Targets:
    """With the endpoints that faults of hosts reach, as the hosts are registered now."""
    reached = host_targets.find_reached(targets.hosts) | targets.containers.reached
    return replace(targets, reached=frozenset(reached))


def resolve_targets(runs: RunQuerySet) -> None:
    """Resolve the names in the first of these runs and in the registered services, for `find_touched_now`."""
    rows = runs.exclude(targets__isnull=True).values_list("targets", flat=True)[:MAX_RUNS_LOOKED_UP]
    wanted = [Targets.from_json(targets) for targets in rows]
    registry.find_touched(Targets(frozenset(), frozenset().union(*(targets.endpoints for targets in wanted))))
    host_targets.find_touched(
        HostTargets(frozenset().union(*(targets.hosts.selections for targets in wanted)))
    )


def find_touched_now(run: Run) -> list[str]:
    """What the run touches as services and hosts are registered now; no name server is asked."""
    found = registry.find_touched(_add_reached(Targets.from_json(run.targets)), lookups=False)
    # Addresses are resolved again, and hosts selected.
    kept = {name for name in run.services if not registry.is_address(name) and not hosts.is_target(name)}
    return sorted(kept | found | host_targets.find_touched_now(run, hosts.this_host()))


def _find_listening_addresses(step: Step) -> set[tuple[str, int]]:
    """The addresses of the process that the step names by its port: services may be registered there."""
    port = hosts.find_port(step.arguments)
    return hosts.list_local_addresses(port) if port else set()
