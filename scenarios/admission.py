"""Which queued run may begin now: the global stop, a missing approval, held services and
MAX_CONCURRENT_RUNS may keep it.

Claims and the global stop lock the same row first, so that of two runs that want one service, and of a
claim and a stop at the same moment, one sees what the other has done.
"""

from collections.abc import Iterable

from django.conf import settings
from django.db.models import Q

from scenarios import hosts
from scenarios.domain.outcomes import ApprovalState
from scenarios.domain.plan import Step, address_of, named_addresses, named_services
from scenarios.models import Approval, Fault, GlobalStop, Hold, Run, Service

LONGEST_NAME = 63


def lock() -> GlobalStop:
    """The row that says whether the global stop is pulled; must be called within a transaction."""
    GlobalStop.objects.get_or_create(pk=GlobalStop.ONLY)
    return GlobalStop.objects.select_for_update().get(pk=GlobalStop.ONLY)


def obstacle_to(run: Run, stop: GlobalStop) -> str:
    """Why the queued run cannot begin now, as a sentence; "" where it can."""
    if stop.pulled_at is not None:
        return f"{stop}: release it to go on"
    if services := unapproved(run):
        return needs_approval(services)
    return _held(run.services) or _no_place() or _queued_earlier(run)


def unapproved(run: Run) -> list[str]:
    """The protected services and hosts that the run touches and nobody has approved it for."""
    if not (names := protected_among(run.services)):
        return []
    approval = Approval.objects.filter(run_id=run.pk, state=ApprovalState.APPROVED).first()
    approved = set(approval.services) if approval is not None else set()
    return [name for name in names if name not in approved and not _covers_every_host(approved, name)]


def _covers_every_host(approved: set[str], name: str) -> bool:
    return hosts.ANY_HOST in approved and name.startswith(hosts.TARGET_PREFIX)


def protected_among(names: Iterable[str]) -> list[str]:
    """The protected ones of these services and hosts."""
    touched = list(names)
    services = Service.objects.filter(is_protected=True, name__in=touched).order_by("name")
    return [*services.values_list("name", flat=True), *_protected_hosts(touched)]


def _protected_hosts(touched: Iterable[str]) -> list[str]:
    """Of a run that any worker may claim, each protected host: it may be the one."""
    found = {name for name in touched if name.startswith(hosts.TARGET_PREFIX)}
    every = {hosts.target_of(host) for host in settings.PROTECTED_HOSTS}
    if hosts.ANY_HOST in every:
        return sorted(found)
    return sorted(every if hosts.ANY_HOST in found else found & every)


def needs_approval(services: Iterable[str]) -> str:
    names = ", ".join(_quoted(name) for name in services)
    return f"it needs the approval of a second person: {names} is protected"


def _quoted(target: str) -> str:
    """A service's name alone: a host is called one."""
    return named(target).removeprefix("service ")


def _held(services: Iterable[str]) -> str:
    names = list(services)
    wanted = Q(service__in=names)
    if hosts.ANY_HOST in names:  # which one is not known before a worker claims the run
        wanted |= Q(service__startswith=hosts.TARGET_PREFIX)
    hold = Hold.objects.filter(wanted).select_related("run").first()
    if hold is None:
        return ""
    return f"{named(hold.service)} is held by {hold}"


def named(target: str) -> str:
    """As "service 'exchange'" or "host 'alpha'"."""
    if target.startswith(hosts.TARGET_PREFIX):
        return f"host {target.removeprefix(hosts.TARGET_PREFIX)!r}"
    return f"service {target!r}"


def _no_place() -> str:
    running = Run.objects.running().count()
    if running < settings.MAX_CONCURRENT_RUNS:
        return ""
    return f"{running} runs are running already: MAX_CONCURRENT_RUNS is {settings.MAX_CONCURRENT_RUNS}"


def _queued_earlier(run: Run) -> str:
    """Whoever waits for a service longer gets it first: else a run that needs two might never begin."""
    waiting = Run.objects.waiting().filter(queued_at__lt=run.queued_at).for_a_list()
    for other in waiting:
        if shared := sorted(set(other.services) & set(run.services)):
            return f"{named(shared[0])} is waited for by {other}, which was queued earlier"
    return ""


def hold(run: Run) -> None:
    """Hold every service that the run's actions touch."""
    Hold.objects.bulk_create([Hold(service=service, run=run) for service in run.services])


def let_go(run: Run) -> None:
    """Let go of an ended run's services, except of those where it left a fault."""
    left = Fault.objects.to_undo().filter(run=run).values_list("service", "services")
    still_broken = {name for service, touched in left for name in (service, *touched)}
    Hold.objects.filter(run=run).exclude(service__in=still_broken).delete()


def touched_by(steps: Iterable[Step], host: str = hosts.ANY_HOST) -> list[str]:
    """What the steps act on: services by name, or by the address at which one is registered, and `host`.

    A service that is registered twice is touched under both names. Steps that act on the host of their
    process, as those of `command` and `signal`, touch that host as a whole: which of its processes a command
    reaches cannot be known. What `chaostoolkit` steps do is not seen: the settings name what those may do.
    """
    told = list(steps)
    # A longer one is no service's name, and could not be held: its step will say so.
    names = {name for name in named_services(told) if len(name) <= LONGEST_NAME}
    bound = [step for step in told if hosts.is_host_bound(step)]
    addresses = named_addresses(told).union(*map(_listened_at, bound))
    registered = {name: address_of(url) for name, url in Service.objects.values_list("name", "base_url")}
    addresses |= {address for name in names if (address := registered.get(name)) is not None}
    names |= {name for name, address in registered.items() if address in addresses}
    return sorted(names | {host} if bound else names)


def _listened_at(step: Step) -> set[tuple[str, int]]:
    """The addresses of the process that the step names by its port: services may be registered there."""
    port = step.arguments.get("port")
    return hosts.local_addresses(port) if isinstance(port, int) else set()


def addresses_of(services: Iterable[str]) -> dict[str, str]:
    """The addresses of those that are registered."""
    found = Service.objects.filter(name__in=list(services))
    return dict(found.values_list("name", "base_url"))
