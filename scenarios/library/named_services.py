"""The services that a scenario's steps name, found when it is saved and stored in rows of their own.

Each with whether the scenario acts on it. One that has no plan without values for its variables, or is no
longer valid, counts as acting on all that it names.
"""

import re
from collections.abc import Mapping

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.plan import find_services
from scenarios.drivers.documents import read_document
from scenarios.language.document import Document, build_plan
from scenarios.models import NamedService, Scenario
from scenarios.runs.approval_gate import list_acting_steps

MAX_NAME_LENGTH = 63
_SERVICE = re.compile(r"\bservice:\s*[\"']?([a-z0-9][-a-z0-9]*)")


def save_named_services(scenario: Scenario, document: Document) -> None:
    """Replace the scenario's rows by those of the document. Call it within a transaction."""
    named = find_document_uses(document)
    rows = NamedService.objects.filter(scenario=scenario)
    kept = dict(rows.values_list("service", "is_touched"))
    if gone := [name for name, is_touched in kept.items() if named.get(name) != is_touched]:
        rows.filter(service__in=gone).delete()
    NamedService.objects.bulk_create(
        NamedService(scenario=scenario, scenario_name=scenario.name, service=name, is_touched=is_touched)
        for name, is_touched in sorted(named.items())
        if kept.get(name) != is_touched
    )


def find_services_in_source(source: str) -> frozenset[str]:
    """The services that a stored document names, even if it is no longer valid."""
    return frozenset(find_uses_in_source(source))


def find_uses_in_source(source: str) -> Mapping[str, bool]:
    """The services that a stored document names, and whether it acts on them."""
    try:
        document = read_document(source)
    except InvalidDocument:
        return dict.fromkeys(_find_literal_names(source), True)
    return find_document_uses(document)


def find_document_uses(document: Document) -> Mapping[str, bool]:
    """The services that its steps name with the variables' defaults, and whether it acts on them."""
    try:
        plan = build_plan(document, {})
    except InvalidVariables:
        return dict.fromkeys(_find_literal_names(document.source), True)
    touched = find_services(list_acting_steps(plan))
    # A longer name cannot be a service's; validation of the step says so.
    return {name: name in touched for name in find_services(plan.steps()) if len(name) <= MAX_NAME_LENGTH}


def _find_literal_names(source: str) -> frozenset[str]:
    """Names that are written literally: without variables there is no plan to read them from."""
    return frozenset(name for name in _SERVICE.findall(source) if len(name) <= MAX_NAME_LENGTH)
