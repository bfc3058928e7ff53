"""Stores suites and their versions, and keeps the cells of their matrices in step with them."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import F

from scenarios.domain.errors import ScenarioError
from scenarios.domain.suite_states import SuiteRunState
from scenarios.language.yaml_tree import read_tree
from scenarios.models import Suite, SuiteCell
from scenarios.suites.documents import SuiteDocument, read_suite
from scenarios.suites.faults import FAULT_BY_NAME, FAULTS, SuiteFault
from scenarios.suites.obstacles import find_obstacles
from scenarios.suites.words import Dependency


class SuiteIsRunning(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """The suite cannot be started or deleted while one of its runs goes on."""


def save_suite(document: SuiteDocument, *, by: User | None = None, replace: bool = True) -> Suite:
    """Store a valid suite under its own name, replacing an earlier one if `replace` is true.

    A document that is already stored makes no new version. What runs have proved is kept for the cells that
    the suite still has, unless its environment has changed: a proof in staging says nothing about
    production.

    Raises:
        IntegrityError: `replace` is false, and another suite is stored under this name.
    """
    if (same := Suite.objects.filter(name=document.name, document=document.source).first()) is not None:
        return same
    fields = {
        "title": document.title,
        "description": document.description,
        "tags": list(document.tags),
        "service": document.spec.service,
        "document": document.source,
        "changed_by": by,
    }
    with transaction.atomic():
        earlier = Suite.objects.filter(name=document.name).values_list("document", flat=True).first()
        removed = Suite.history.filter(name=document.name).values_list("id", flat=True).first()
        first = {**fields, "pk": removed}
        if replace:
            suite, _created = Suite.objects.update_or_create(
                name=document.name, defaults=fields, create_defaults=first
            )
        else:
            suite = Suite.objects.create(name=document.name, **first)
        if earlier is not None and find_environment(earlier) != (document.spec.environment or ""):
            suite.cells.all().delete()
        save_cells(suite, document)
    return suite


def find_environment(source: str) -> str:
    """That of a stored suite, even if there is no longer such an environment."""
    return str(read_tree(source).plain()["spec"].get("environment") or "")


def save_cells(suite: Suite, document: SuiteDocument) -> None:
    """Give the suite exactly the cells of the document, and find again which faults cannot be injected."""
    kept = {(cell.dependency, cell.fault): cell for cell in suite.cells.all()}
    wanted = list_cells(document)
    obstacles = find_obstacles(document, wanted)
    new, changed = [], []
    for order, (dependency, fault) in enumerate(wanted):
        key = (dependency.service, fault.name)
        cell = kept.pop(key, None)
        obstacle = obstacles.get(key, "")
        if cell is None:
            new.append(
                SuiteCell(suite=suite, order=order, dependency=key[0], fault=key[1], obstacle=obstacle)
            )
        elif (cell.order, cell.obstacle) != (order, obstacle):
            cell.order, cell.obstacle = order, obstacle
            changed.append(cell)
    SuiteCell.objects.filter(pk__in=[cell.pk for cell in kept.values()]).delete()
    SuiteCell.objects.bulk_update(changed, ["order", "obstacle"], batch_size=200)
    SuiteCell.objects.bulk_create(new)
    proved = SuiteCell.objects.filter(suite=suite, proved_at__isnull=False)
    proved.update(fresh_until=F("proved_at") + timedelta(seconds=document.spec.fresh_for))


def list_cells(document: SuiteDocument) -> list[tuple[Dependency, SuiteFault]]:
    """Each dependency with each of its faults, in the order in which they are tried."""
    return [
        (dependency, fault)
        for dependency in document.spec.depends_on
        for fault in (
            map(FAULT_BY_NAME.__getitem__, dependency.faults) if dependency.faults is not None else FAULTS
        )
    ]


def restore_version(suite: Suite, version: int, *, by: User | None = None) -> Suite:
    """Store an earlier version again, as the newest one.

    Raises:
        InvalidDocument: the version is not valid any more.
        ObjectDoesNotExist: the suite has no such version.
    """
    return save_suite(read_suite(suite.history.get(history_id=version).document), by=by)


@transaction.atomic
def remove_suite(name: str, *, by: User | None = None) -> None:
    """Delete the suite; its runs and versions stay.

    Raises:
        SuiteIsRunning: one of its runs goes on.
    """
    suite = Suite.objects.select_for_update().filter(name=name).first()
    if suite is None:
        return
    if (run := suite.runs.filter(state=SuiteRunState.RUNNING).first()) is not None:
        raise SuiteIsRunning(f"Suite {name!r} cannot be removed now, because its run {run.short_id} goes on.")
    suite.changed_by = by
    suite.delete()
