"""Completion of `manage.py scenario …` by a shell. Django is set up only where stored names are wanted."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from coordinator_client.command_line import completion
from coordinator_client.command_line.coordinator import CommandRefused, RunFilter
from coordinator_client.command_line.parser import VERB, VerbParser
from coordinator_client.command_line.program import GROUPS
from coordinator_client.command_line.verbs import add_connection, add_json
from coordinator_client.records import Approval, Run

COMMANDS = Path(__file__).resolve().parents[1] / "management" / "commands"
MODELS = {
    "environments": "Environment",
    "hosts": "Host",
    "scenarios": "Scenario",
    "schedules": "Schedule",
    "services": "Service",
    "suites": "Suite",
    "webhooks": "Webhook",
}


def answer_shell() -> None:
    """Answer a shell that asks for completions, and exit; else return at once."""
    source = completion.Source(list_names, list_runs, list_approvals, read_document)
    completion.use_local_names(source)
    completion.start(build_parser())


def build_parser() -> VerbParser:
    parser = VerbParser(prog="manage.py")
    commands = parser.add_subparsers(metavar="COMMAND")
    for name in ("up", "test", "migrate", "createsuperuser", *_list_commands()):
        commands.add_parser(name)
    scenario = commands.choices["scenario"]
    add_connection(scenario, "")
    add_json(scenario, default=False)
    verbs = scenario.add_subparsers(metavar=VERB)
    for group in GROUPS:
        group.add_to(verbs)
    return parser


def _list_commands() -> Sequence[str]:
    return sorted(file.stem for file in COMMANDS.glob("[!_]*.py"))


def _set_up() -> None:
    import django  # noqa: PLC0415 - takes a second, and only names need it

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")
    django.setup()


@contextmanager
def _explain_databases() -> Iterator[None]:
    """A database that cannot be used is an error of the coordinator: nothing is completed."""
    from django.db import DatabaseError  # noqa: PLC0415 - as above

    try:
        yield
    except DatabaseError as error:
        raise CommandRefused(str(error)) from error


def list_names(kind: str) -> Sequence[str]:
    """All stored names of the kind."""
    _set_up()
    from scenarios import models  # noqa: PLC0415 - as above

    rows = getattr(models, MODELS[kind]).objects
    with _explain_databases():
        return list(rows.order_by("name").values_list("name", flat=True)[: completion.MAX_NAMES])


def list_runs(_prefix: str) -> Sequence[Run]:
    """The newest, whose number is limited: the id of an older run is not completed."""
    _set_up()
    from scenarios.command_line.local import LocalCoordinator  # noqa: PLC0415 - as above

    with _explain_databases():
        return LocalCoordinator().list_runs(RunFilter(limit=completion.MAX_NAMES))


def list_approvals() -> Sequence[Approval]:
    _set_up()
    from scenarios.command_line.local import LocalCoordinator  # noqa: PLC0415 - as above

    with _explain_databases():
        return LocalCoordinator().list_approvals("", completion.MAX_NUMBERED)


def read_document(name: str) -> str:
    _set_up()
    from scenarios.command_line.local import LocalCoordinator  # noqa: PLC0415 - as above

    with _explain_databases():
        return LocalCoordinator().find_scenario(name).document
