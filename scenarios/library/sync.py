"""Makes the stored scenarios and suites match a set of documents, in one transaction."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from scenarios.domain.errors import ScenarioError
from scenarios.language.document import Document
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import DeletionRequest, Scenario, Suite
from scenarios.runs import deletion_requests
from scenarios.runs.deletion_requests import count_references, find_removal_obstacle, request_deletion
from scenarios.suites.documents import SuiteDocument
from scenarios.suites.storage import SuiteIsRunning, remove_suite, save_suite

Kind = Literal["new", "changed", "unchanged", "removed"]
Subject = Literal["scenario", "suite"]
AnyDocument = Document | SuiteDocument


class CannotRemove(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """A scenario is still needed by an unfinished run, an open fault, or something that refers to it."""


class NameTaken(ScenarioError):  # noqa: N818
    """Another scenario is stored under a name that was expected to be new."""

    def __init__(self, names: Sequence[str]) -> None:
        several = len(names) > 1
        super().__init__(
            f"{', '.join(map(repr, names))} {'are' if several else 'is'} already stored with "
            f"{'other documents' if several else 'another document'}; choose another name, or replace "
            f"{'them' if several else 'it'}."
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one scenario or suite. `before` or `after` is empty if it is new or removed."""

    kind: Kind
    name: str
    before: str
    after: str
    subject: Subject = "scenario"


def find_subject(document: AnyDocument) -> Subject:
    return "suite" if isinstance(document, SuiteDocument) else "scenario"


def plan_changes(documents: Sequence[AnyDocument], *, prune: bool) -> list[Change]:
    """List what `sync_scenarios` would do now."""
    stored: dict[tuple[Subject, str], str] = {
        **{("scenario", name): text for name, text in Scenario.objects.values_list("name", "document")},
        **{("suite", name): text for name, text in Suite.objects.values_list("name", "document")},
    }
    keys = [(find_subject(document), document.name) for document in documents]
    changes = [_compare(document, stored.get(key)) for key, document in zip(keys, documents, strict=True)]
    if prune:
        going = DeletionRequest.objects.exclude(scenario=None).values_list("scenario__name", flat=True)
        gone = sorted(stored.keys() - set(keys) - {("scenario", name) for name in going})
        changes += [Change("removed", key[1], stored[key], "", key[0]) for key in gone]
    return changes


def _compare(document: AnyDocument, before: str | None) -> Change:
    subject = find_subject(document)
    if before is None:
        return Change("new", document.name, "", document.source, subject)
    kind: Literal["changed", "unchanged"] = "unchanged" if before == document.source else "changed"
    return Change(kind, document.name, before, document.source, subject)


def sync_scenarios(
    documents: Sequence[AnyDocument],
    *,
    prune: bool,
    by: User | None = None,
    only_new: Collection[str] = (),
) -> list[Change]:
    """Store all documents and, with `prune`, remove all other scenarios and suites, or change nothing.

    Raises:
        CannotRemove: another scenario is still needed.
        NameTaken: a name in `only_new` is stored with another document.
    """
    with transaction.atomic():
        changes = plan_changes(documents, prune=prune)
        if taken := find_taken_names(changes, only_new):
            raise NameTaken(taken)
        # Always in the same order, so that concurrent imports do not deadlock.
        new = {change.name for change in changes if change.kind == "new"}.intersection(only_new)
        for document in sorted(documents, key=lambda document: (find_subject(document), document.name)):
            if isinstance(document, SuiteDocument):
                save_suite(document, by=by)
            else:
                _store(document, by, replace=document.name not in new)
        for change in changes:
            if change.kind == "removed":
                _remove(change, by)
    return changes


def _remove(change: Change, by: User | None) -> None:
    if change.subject == "scenario":
        remove_scenario(change.name, by=by)
        return
    try:
        remove_suite(change.name, by=by)
    except SuiteIsRunning as error:
        raise CannotRemove(str(error)) from error


def _store(document: Document, by: User | None, *, replace: bool) -> None:
    """Store one scenario.

    Raises:
        NameTaken: `replace` is false, and another document is stored under this name.
    """
    try:
        stored_scenarios.save_scenario(document, by=by, replace=replace)
    except IntegrityError as error:
        # Somebody else has stored it since the changes were planned.
        stored = Scenario.objects.filter(name=document.name).values_list("document", flat=True).first()
        if replace or stored is None:
            raise
        if stored != document.source:
            raise NameTaken([document.name]) from error


def find_taken_names(changes: Sequence[Change], only_new: Collection[str]) -> list[str]:
    return [
        change.name
        for change in changes
        if change.kind == "changed" and change.subject == "scenario" and change.name in only_new
    ]


@transaction.atomic
def remove_scenario(name: str, *, by: User | None = None) -> DeletionRequest | None:
    """Delete the scenario; its runs and versions stay.

    If it has many runs, only request it: the watchdog deletes it. Returns the request, also an earlier one.

    Raises:
        CannotRemove: a run is unfinished or has left a fault, or something else refers to the scenario.
    """
    # The lock makes a run that starts at the same time wait; it is then refused.
    scenario = Scenario.objects.select_for_update().filter(name=name).first()
    if scenario is None:
        return None
    if scenario.is_being_deleted:
        return DeletionRequest.objects.get(scenario=scenario)
    check_removal(scenario)
    if (total := count_references(scenario)) > deletion_requests.MAX_AT_ONCE:
        return request_deletion(scenario, total, by=by)
    scenario.changed_by = by
    try:
        scenario.delete()
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name) for row in error.protected_objects})  # noqa: SLF001 - Django's own public name for it
        raise CannotRemove(
            f"Scenario {name!r} cannot be removed, because a {' and a '.join(kinds)} refers to it."
        ) from error
    return None


def check_removal(scenario: Scenario) -> None:
    """Raises CannotRemove if a run is unfinished or has left a fault."""
    if obstacle := find_removal_obstacle(scenario):
        raise CannotRemove(f"Scenario {scenario.name!r} cannot be removed now, because {obstacle}.")
