"""The document of a scenario on this machine, and its replacement."""

from django.db import transaction

from coordinator_client.command_line.coordinator import BeingDeleted, ChangedMeanwhile, CommandRefused
from coordinator_client.command_line.editing import Edited
from scenarios import models
from scenarios.command_line.local_errors import explain_errors
from scenarios.command_line.local_rows import find_scenario
from scenarios.domain import errors
from scenarios.drivers import documents
from scenarios.library import scenarios


class LocalEditing:
    def find_document(self, name: str) -> Edited:
        row = find_scenario(name)
        if row.is_being_deleted:
            raise BeingDeleted.of_scenario(name)
        return Edited(name, row.document, row.document)

    def replace_document(self, edited: Edited, document: str) -> None:
        with explain_errors():
            parsed = documents.read_document(document)
        if parsed.name != edited.name:
            raise CommandRefused(
                f"The document is of {parsed.name!r}, not of {edited.name!r}; 'import' stores another one."
            )
        try:
            with transaction.atomic():
                row = models.Scenario.objects.select_for_update().filter(name=edited.name).first()
                if row is None or row.document != edited.version:
                    raise ChangedMeanwhile(edited.name)
                scenarios.save_scenario(parsed)
        except errors.BeingDeleted as error:
            raise BeingDeleted(str(error)) from error
