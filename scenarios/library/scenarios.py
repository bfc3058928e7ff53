"""Stores scenarios and their versions."""

from django.contrib.auth.models import User
from django.db import transaction

from scenarios.domain.errors import BeingDeleted
from scenarios.drivers.documents import read_document
from scenarios.language.document import Document
from scenarios.library.named_services import save_named_services
from scenarios.models import Run, Scenario


def save_scenario(document: Document, *, by: User | None = None, replace: bool = True) -> Scenario:
    """Store a valid document under its own name, replacing an earlier one if `replace` is true.

    A document that is already stored makes no new version.

    Raises:
        BeingDeleted: the stored scenario of this name is being deleted.
        IntegrityError: `replace` is false, and another document is stored under this name.
    """
    stored = Scenario.objects.select_related("deletion").filter(name=document.name).first()
    if stored is not None and stored.is_being_deleted:
        raise BeingDeleted(document.name)
    if stored is not None and stored.document == document.source:
        return stored
    fields = {
        "title": document.title,
        "description": document.description,
        "tags": list(document.tags),
        "document": document.source,
        "changed_by": by,
    }
    with transaction.atomic():
        # A scenario that was deleted gets its history and its runs back.
        versions = Scenario.history.filter(name=document.name)
        removed = versions.values_list("id", flat=True).first()
        first = {**fields, "pk": removed}
        if replace:
            scenario, created = Scenario.objects.update_or_create(
                name=document.name, defaults=fields, create_defaults=first
            )
        else:
            scenario, created = Scenario.objects.create(name=document.name, **first), True
        if created and removed:
            lost = Run.objects.filter(scenario=None, scenario_name=document.name)
            lost.filter(document__in=versions.values("document")).update(scenario=scenario)
        save_named_services(scenario, document)
    return scenario


def restore_version(scenario: Scenario, version: int, *, by: User | None = None) -> Scenario:
    """Store an earlier version again, as the newest one.

    Raises:
        InvalidDocument: the version does not fit the drivers that are installed now.
        ObjectDoesNotExist: the scenario has no such version.
    """
    return save_scenario(read_document(scenario.history.get(history_id=version).document), by=by)
