"""The scenarios that a run's document includes, as they were when the run was started."""

from collections.abc import Sequence
from dataclasses import dataclass

from scenarios.library.versions import find_version
from scenarios.models import Run, Scenario


@dataclass(frozen=True, slots=True)
class IncludedDocument:
    """`version` counts the scenario's versions from 1; None if no version has this document. `scenario` is
    the key of the scenario that has this name now, if there is one.
    """

    name: str
    document: str
    scenario: int | None
    version: int | None
    is_current: bool


def list_included_documents(run: Run) -> Sequence[IncludedDocument]:
    if not run.included:
        return ()
    stored = {row.name: row for row in Scenario.objects.filter(name__in=list(run.included))}
    return [_describe(name, document, stored.get(name)) for name, document in sorted(run.included.items())]


def _describe(name: str, document: str, scenario: Scenario | None) -> IncludedDocument:
    if scenario is None:
        return IncludedDocument(name, document, None, None, is_current=False)
    version = find_version(scenario, document)
    return IncludedDocument(name, document, scenario.pk, version, scenario.document == document)
