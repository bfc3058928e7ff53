"""Which scenarios act on a service, and which only look at it, by the documents that are stored now."""

from collections.abc import Sequence
from dataclasses import dataclass

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.plan import find_services
from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan
from scenarios.models import NamedService
from scenarios.runs.approval_gate import list_acting_steps

# Reading one document takes some milliseconds.
MAX_READ = 50


@dataclass(frozen=True, slots=True)
class Uses:
    """Keys and names of scenarios; `unread` is how many more name the service."""

    touching: Sequence[tuple[int, str]]
    probing: Sequence[tuple[int, str]]
    unread: int


def find_uses(service: str) -> Uses:
    """Of the first MAX_READ scenarios that name the service. Those that have no plan with the defaults of
    their variables count as acting on it.
    """
    rows = NamedService.objects.filter(service=service).order_by("scenario_name")
    found = list(rows.values_list("scenario_id", "scenario_name", "scenario__document")[:MAX_READ])
    touching = [(key, name) for key, name, document in found if _acts_on(document, service)]
    probing = [(key, name) for key, name, _document in found if (key, name) not in set(touching)]
    return Uses(touching, probing, rows.count() - len(found) if len(found) == MAX_READ else 0)


def _acts_on(source: str, service: str) -> bool:
    try:
        plan = build_plan(read_document(source), {})
    except (InvalidDocument, InvalidVariables):
        return True
    return service in find_services(list_acting_steps(plan))
