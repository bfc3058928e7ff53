"""The services that a scenario's steps name, found when it is saved and stored in rows of their own."""

import re

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.plan import find_services
from scenarios.drivers.documents import read_document
from scenarios.language.document import Document, build_plan
from scenarios.models import NamedService, Scenario

MAX_NAME_LENGTH = 63
_SERVICE = re.compile(r"\bservice:\s*[\"']?([a-z0-9][-a-z0-9]*)")


def save_named_services(scenario: Scenario, document: Document) -> None:
    """Replace the scenario's rows by those of the document. Call it within a transaction."""
    named = find_document_services(document)
    kept = set(NamedService.objects.filter(scenario=scenario).values_list("service", flat=True))
    if gone := kept - named:
        NamedService.objects.filter(scenario=scenario, service__in=gone).delete()
    NamedService.objects.bulk_create(
        NamedService(scenario=scenario, scenario_name=scenario.name, service=name)
        for name in sorted(named - kept)
    )


def find_services_in_source(source: str) -> frozenset[str]:
    """The services that a stored document names, even if it is no longer valid."""
    try:
        document = read_document(source)
    except InvalidDocument:
        return _find_literal_names(source)
    return find_document_services(document)


def find_document_services(document: Document) -> frozenset[str]:
    """The services that the document's steps name with the variables' defaults."""
    try:
        named = find_services(build_plan(document, {}).steps())
    except InvalidVariables:
        return _find_literal_names(document.source)
    # A longer name cannot be a service's; validation of the step says so.
    return frozenset(name for name in named if len(name) <= MAX_NAME_LENGTH)


def _find_literal_names(source: str) -> frozenset[str]:
    """Names that are written literally: without variables there is no plan to read them from."""
    return frozenset(name for name in _SERVICE.findall(source) if len(name) <= MAX_NAME_LENGTH)
