"""Rows by what an address or a filter names them."""

from uuid import UUID

from django.core.exceptions import ValidationError

from scenarios.api.problems import NotFoundError
from scenarios.fields import DNS_LABEL
from scenarios.models import Fault, Run, Scenario


def scenario_named(name: str) -> Scenario:
    missing = NotFoundError(f"There is no scenario {name[:80]!r}.")
    try:
        DNS_LABEL(name)
    except ValidationError as error:
        raise missing from error  # it may hold what no database takes
    found = Scenario.objects.filter(name=name).select_related("changed_by").first()
    if found is None:
        raise missing
    return found


def run_of(run_id: UUID) -> Run:
    found = Run.objects.filter(id=run_id).select_related("scenario", "started_by").first()
    if found is None:
        raise NotFoundError(f"There is no run {str(run_id)!r}.")
    return found


def fault_of(fault_id: int) -> Fault:
    found = Fault.objects.filter(pk=fault_id).select_related("run").first()
    if found is None:
        raise NotFoundError(f"There is no fault {fault_id!r}.")
    return found
