"""Stores scenarios and their versions."""

from django.contrib.auth.models import User
from django.db import transaction

from scenarios.drivers.documents import read_document
from scenarios.language.document import Document
from scenarios.library.named_services import save_named_services
from scenarios.models import Run, Scenario


def save_scenario(document: Document, *, by: User | None = None, replace: bool = True) -> Scenario:
    """Store a valid document under the name it gives itself, replacing an earlier one where it may.

    A document that is stored already is left as it is: it makes no new version.

    Raises:
        IntegrityError: without `replace`, another document is stored under the name.
    """
    if (same := Scenario.objects.filter(name=document.name, document=document.source).first()) is not None:
        return same
    written = {
        "title": document.title,
        "description": document.description,
        "tags": list(document.tags),
        "document": document.source,
        "changed_by": by,
    }
    with transaction.atomic():
        # One that was removed comes back with its history and its runs.
        versions = Scenario.history.filter(name=document.name)
        removed = versions.values_list("id", flat=True).first()
        first = {**written, "pk": removed}
        if replace:
            scenario, created = Scenario.objects.update_or_create(
                name=document.name, defaults=written, create_defaults=first
            )
        else:
            scenario, created = Scenario.objects.create(name=document.name, **first), True
        if created and removed:
            lost = Run.objects.filter(scenario=None, scenario_name=document.name)
            lost.filter(document__in=versions.values("document")).update(scenario=scenario)
        save_named_services(scenario, document)
    return scenario


def restore_version(scenario: Scenario, version: int, *, by: User | None = None) -> Scenario:
    """Make an earlier version the present one. The version is written anew: nothing is lost of the history.

    Raises:
        InvalidDocument: it does not fit the drivers that are installed now.
        ObjectDoesNotExist: the scenario has no such version.
    """
    return save_scenario(read_document(scenario.history.get(history_id=version).document), by=by)
