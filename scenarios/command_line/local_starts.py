"""Starts runs on this machine, once for each key."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from http import HTTPStatus

from coordinator_client.command_line.coordinator import CommandRefused, Start
from coordinator_client.records import Run
from scenarios import models
from scenarios.access import idempotency
from scenarios.command_line.local_errors import explain_errors
from scenarios.command_line.local_rows import describe_run, find_scenario, get_run
from scenarios.drivers import documents
from scenarios.runs import commands as run_commands

WHO = "the command line"


class LocalStarts:
    def start_scenario(self, name: str, variables: Mapping[str, str], how: Start) -> Run:
        stored = find_scenario(name)
        return _start_once(name, stored.document, stored, variables, how)

    def start_document(self, source: str, variables: Mapping[str, str], how: Start) -> Run:
        with explain_errors():
            name = documents.read_document(source).name
        # If the same document is stored under its name, the run belongs to that scenario.
        stored = models.Scenario.objects.filter(name=name, document=source).first()
        return _start_once(source, source, stored, variables, how)


def _start_once(
    subject: str,
    source: str,
    scenario: models.Scenario | None,
    variables: Mapping[str, str],
    how: Start,
) -> Run:
    """Start a run, or find the one that the same request with this key has started in the last 24 hours."""
    options = asdict(how)
    key = options.pop("idempotency_key")

    def start() -> models.Run:
        return run_commands.start_run(source, variables, origin="cli", scenario=scenario, **options)

    with explain_errors():
        if not key:
            return describe_run(start())
        request = json.dumps([subject, dict(variables), options], sort_keys=True)
        try:
            answer, _ = idempotency.answer_once(
                WHO,
                key,
                idempotency.fingerprint("run", "", request.encode()),
                lambda: idempotency.Answer(HTTPStatus.CREATED, {}, str(start().id).encode()),
            )
        except idempotency.KeyUsedOtherwise as error:
            raise CommandRefused(str(error)) from error
    return describe_run(get_run(answer.body.decode()))
