"""The stored scenarios made the same as a set of documents, all at once or not at all."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from scenarios.domain.errors import ScenarioError
from scenarios.language.document import Document
from scenarios.library import scenarios as stored_scenarios
from scenarios.models import Fault, Scenario

Kind = Literal["new", "changed", "unchanged", "removed"]


class CannotRemove(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """A scenario is still needed: by a run that goes on, by a fault, by what else refers to it."""


class NameTaken(ScenarioError):  # noqa: N818
    """Another scenario is stored under the name of one that was to be new."""

    def __init__(self, names: Sequence[str]) -> None:
        several = len(names) > 1
        super().__init__(
            f"{', '.join(map(repr, names))} {'are' if several else 'is'} stored already, with "
            f"{'other documents' if several else 'another document'}: choose another name, or replace "
            f"{'them' if several else 'it'}."
        )


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of one scenario; `after` is empty where it is removed."""

    kind: Kind
    name: str
    before: str
    after: str


def plan_changes(documents: Sequence[Document], *, prune: bool) -> list[Change]:
    """What `sync_scenarios` would do now; nothing is written."""
    stored = dict(Scenario.objects.values_list("name", "document"))
    changes = [_compare(document, stored.get(document.name)) for document in documents]
    if prune:
        kept = {document.name for document in documents}
        gone = sorted(stored.keys() - kept)
        changes += [Change("removed", name, stored[name], "") for name in gone]
    return changes


def _compare(document: Document, before: str | None) -> Change:
    if before is None:
        return Change("new", document.name, "", document.source)
    kind: Literal["changed", "unchanged"] = "unchanged" if before == document.source else "changed"
    return Change(kind, document.name, before, document.source)


def sync_scenarios(
    documents: Sequence[Document],
    *,
    prune: bool,
    by: User | None = None,
    only_new: Collection[str] = (),
) -> list[Change]:
    """Store the documents; with `prune`, remove every other scenario. All of it, or nothing.

    Raises:
        CannotRemove: another scenario is still needed.
        NameTaken: of the names in `only_new`, some are stored with another document.
    """
    with transaction.atomic():
        changes = plan_changes(documents, prune=prune)
        if taken := find_taken_names(changes, only_new):
            raise NameTaken(taken)
        # In one order, so that two at once never wait for each other's rows.
        new = {change.name for change in changes if change.kind == "new"}.intersection(only_new)
        for document in sorted(documents, key=lambda one: one.name):
            _store(document, by, replace=document.name not in new)
        for change in changes:
            if change.kind == "removed":
                remove_scenario(change.name, by=by)
    return changes


def _store(document: Document, by: User | None, *, replace: bool) -> None:
    """As `save_scenario`.

    Raises:
        NameTaken: without `replace`, another document is stored under the name.
    """
    try:
        stored_scenarios.save_scenario(document, by=by, replace=replace)
    except IntegrityError as error:
        # Stored by somebody else since the changes were looked for.
        stored = Scenario.objects.filter(name=document.name).values_list("document", flat=True).first()
        if replace or stored is None:
            raise
        if stored != document.source:
            raise NameTaken([document.name]) from error


def find_taken_names(changes: Sequence[Change], only_new: Collection[str]) -> list[str]:
    return [change.name for change in changes if change.kind == "changed" and change.name in only_new]


@transaction.atomic
def remove_scenario(name: str, *, by: User | None = None) -> None:
    """Delete the scenario; its runs and the history of its documents stay.

    Raises:
        CannotRemove: a run of it goes on or has left a fault, or something else refers to it.
    """
    # Locked: a run that is being started meanwhile has to wait, and is then refused.
    scenario = Scenario.objects.select_for_update().filter(name=name).first()
    if scenario is None:
        return
    if obstacle := _find_obstacle(scenario):
        raise CannotRemove(f"Scenario {name!r} cannot be removed now: {obstacle}.")
    scenario.changed_by = by
    try:
        scenario.delete()
    except ProtectedError as error:
        kinds = sorted({str(row._meta.verbose_name) for row in error.protected_objects})  # noqa: SLF001 - Django's own public name for it
        raise CannotRemove(
            f"Scenario {name!r} cannot be removed now: a {' and a '.join(kinds)} refers to it."
        ) from error


def _find_obstacle(scenario: Scenario) -> str:
    if (run := scenario.runs.unfinished().first()) is not None:
        return f"run {run.short_id} of it is {run.state}"
    if (fault := Fault.objects.still_open().filter(run__scenario=scenario).first()) is not None:
        return f"fault {fault.action!r} of its run {fault.run.short_id} is not undone"
    return ""
