"""Which queued run may begin now: the global stop, a missing approval, held services and
MAX_CONCURRENT_RUNS may keep it.

Claims and the global stop lock the same row first, so that of two runs that want one service, and of a
claim and a stop at the same moment, one sees what the other has done.
"""

from collections.abc import Iterable

from django.conf import settings

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
    """The protected services that the run touches and nobody has approved it for."""
    protected = Service.objects.filter(is_protected=True, name__in=run.services).order_by("name")
    names = list(protected.values_list("name", flat=True))
    if not names:
        return []
    given = Approval.objects.filter(run_id=run.pk, state=ApprovalState.APPROVED).first()
    return [name for name in names if given is None or name not in given.services]


def needs_approval(services: Iterable[str]) -> str:
    names = ", ".join(repr(name) for name in services)
    return f"it needs the approval of a second person: {names} is protected"


def _held(services: Iterable[str]) -> str:
    hold = Hold.objects.filter(service__in=list(services)).select_related("run").first()
    if hold is None:
        return ""
    return f"service {hold.service!r} is held by {hold}"


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
            return f"service {shared[0]!r} is waited for by {other}, which was queued earlier"
    return ""


def hold(run: Run) -> None:
    """Hold every service that the run's actions touch."""
    Hold.objects.bulk_create([Hold(service=service, run=run) for service in run.services])


def let_go(run: Run) -> None:
    """Let go of an ended run's services, except of those where it left a fault."""
    left = Fault.objects.to_undo().filter(run=run).values_list("service", "services")
    still_broken = {name for service, touched in left for name in (service, *touched)}
    Hold.objects.filter(run=run).exclude(service__in=still_broken).delete()


def touched_by(steps: Iterable[Step]) -> list[str]:
    """The services that the steps act on: by name, or by the address at which one is registered.

    A service that is registered twice is touched under both names. What `command`, `signal` and
    `chaostoolkit` steps do is not seen: the settings name what those may do at all.
    """
    told = list(steps)
    # A longer one is no service's name, and could not be held: its step will say so.
    names = {name for name in named_services(told) if len(name) <= LONGEST_NAME}
    addresses = named_addresses(told)
    registered = {name: address_of(url) for name, url in Service.objects.values_list("name", "base_url")}
    addresses |= {address for name in names if (address := registered.get(name)) is not None}
    return sorted(names | {name for name, address in registered.items() if address in addresses})


def addresses_of(services: Iterable[str]) -> dict[str, str]:
    """The addresses of those that are registered."""
    found = Service.objects.filter(name__in=list(services))
    return dict(found.values_list("name", "base_url"))
