"""Completion of `manage.py scenario …` by a shell. Django is set up only where stored names are wanted."""

import os
from collections.abc import Sequence
from pathlib import Path

from coordinator_client.command_line import completion
from coordinator_client.command_line.parser import VERB, VerbParser
from coordinator_client.command_line.program import GROUPS
from coordinator_client.command_line.verbs import add_connection, add_json

COMMANDS = Path(__file__).resolve().parents[1] / "management" / "commands"
MODELS = {
    "hosts": "Host",
    "scenarios": "Scenario",
    "schedules": "Schedule",
    "services": "Service",
    "suites": "Suite",
}


def answer_shell() -> None:
    """Answer a shell that asks for completions, and exit; else return at once."""
    completion.use_local_names(list_names)
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


def list_names(kind: str) -> Sequence[str]:
    """All stored names of the kind; none where the database cannot be used."""
    import django  # noqa: PLC0415 - takes a second, and only names need it
    from django.db import DatabaseError  # noqa: PLC0415

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "coordinator_site.settings")
    django.setup()
    from scenarios import models  # noqa: PLC0415

    rows = getattr(models, MODELS[kind]).objects
    try:
        return list(rows.order_by("name").values_list("name", flat=True)[: completion.MAX_NAMES])
    except DatabaseError:
        return []
