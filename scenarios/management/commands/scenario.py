"""`manage.py scenario …`: docs/command-line.md describes its commands and exit codes."""

import sys
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from scenarios.command_line import (
    exit_codes,
    fault_verbs,
    history_verbs,
    import_verb,
    registration_verbs,
    run_verbs,
    scenario_verbs,
    schedule_verbs,
)
from scenarios.command_line.coordinator import CommandRefused, Coordinator
from scenarios.command_line.http_api import HttpApi
from scenarios.command_line.local import LocalCoordinator
from scenarios.command_line.remote import RemoteCoordinator
from scenarios.command_line.terminal import Terminal
from scenarios.command_line.verbs import SERVER_HELP, Session, Verb

GROUPS = (
    *(scenario_verbs, import_verb, run_verbs, history_verbs, fault_verbs, schedule_verbs),
    registration_verbs,
)


def connect(server: str) -> Coordinator:
    """Use this machine's database, or the API of another coordinator."""
    if not server:
        return LocalCoordinator()
    return RemoteCoordinator(HttpApi(server, settings.TEST_COORDINATOR_TOKEN))


class Command(BaseCommand):
    help = "Store and run scenarios, and manage runs, faults, schedules, services and hosts."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--server", metavar="URL", default="", help=SERVER_HELP)
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for group in GROUPS:
            group.add_to(verbs)

    def handle(
        self, *_arguments: Any, function: Verb, server: str, wants_json: bool = False, **options: Any
    ) -> None:
        terminal = Terminal(
            wants_json=wants_json,
            no_color=options["no_color"],
            write=partial(self.stdout.write, ending=""),
        )
        try:
            code = function(Session(connect(server), terminal, is_remote=bool(server)), **options)
        except CommandRefused as error:
            raise CommandError(str(error), returncode=exit_codes.REFUSED) from error
        except (OperationalError, ProgrammingError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise CommandError(
                f"The database cannot be used ({reason}); check DATABASE_URL, and run 'manage.py migrate'.",
                returncode=exit_codes.REFUSED,
            ) from error
        except KeyboardInterrupt:
            code = exit_codes.DETACHED
        if code:
            sys.exit(code)
