"""What a valid plan would meet when it is run: told before it is, and forbidden by nobody."""

from collections.abc import Iterator

from scenarios import admission, protection
from scenarios.domain.plan import Plan
from scenarios.domain.sentences import near
from scenarios.models import GlobalStop, Service


def forewarnings(plan: Plan) -> list[str]:
    """What its writer may not have meant: a service that nobody registered, a fault without an undo."""
    return [*_unknown_services(plan), *_never_taken_back(plan)]


def delays(plan: Plan) -> list[str]:
    """Why a run of it would not begin at once: the global stop, a protected service."""
    stop = GlobalStop.objects.filter(pulled_at__isnull=False).first()
    found = [f"No run begins before {stop} is released"] if stop is not None else []
    if services := protection.protected_among(protection.touched_services(plan)):
        found.append(f"A run waits: {admission.needs_approval(services)}")
    return found


def _unknown_services(plan: Plan) -> Iterator[str]:
    named = {step.arguments.get("service") for step in plan.steps()}
    known = sorted(Service.objects.values_list("name", flat=True))
    for name in sorted(name for name in named if isinstance(name, str) and name not in known):
        hint = near(name, known) or f"known are {', '.join(known) or 'none yet'}"
        yield f"There is no service {name!r} ({hint}): a run would end errored"


def _never_taken_back(plan: Plan) -> Iterator[str]:
    for phase in plan.phases:
        for action in phase.actions:
            if action.undo is None:
                yield f"{action.name!r} has no undo: what it does is not taken back"
