"""`manage.py scenario …`: docs/command-line.md describes its commands and exit codes."""

import sys
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, ProgrammingError

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.coordinator import Coordinator
from coordinator_client.command_line.program import GROUPS, abandon_output
from coordinator_client.command_line.remote import RemoteCoordinator
from coordinator_client.command_line.terminal import Terminal
from coordinator_client.command_line.verbs import Session, Verb, add_connection, add_json
from coordinator_client.command_line.wording import set_program
from coordinator_client.errors import CoordinatorError
from coordinator_client.profiles import read_profile
from coordinator_client.synchronous.client import Client
from scenarios.command_line.local import LocalCoordinator


def connect(server: str, profile: str, authority: str) -> Coordinator:
    """Use this machine's database, or the API of another coordinator."""
    if not (server or profile):
        return LocalCoordinator()
    found = read_profile(profile, server=server, authority=authority)
    # .env is read by the settings, and not part of the environment.
    token = found.token or settings.TEST_COORDINATOR_TOKEN
    return RemoteCoordinator(Client(found.server, token, authority=found.authority))


class Command(BaseCommand):
    help = "Store and run scenarios, and manage runs, faults, schedules, services and hosts."

    def add_arguments(self, parser: CommandParser) -> None:
        set_program("manage.py scenario")
        add_connection(parser, "")
        add_json(parser, default=False)
        verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
        for group in GROUPS:
            group.add_to(verbs)

    def handle(
        self,
        *_arguments: Any,
        function: Verb,
        server: str,
        profile: str,
        authority: str,
        wants_json: bool,
        **options: Any,
    ) -> None:
        terminal = Terminal(
            wants_json=wants_json,
            no_color=options["no_color"],
            write=partial(self.stdout.write, ending=""),
        )
        session = Session(partial(connect, server, profile, authority), terminal)
        try:
            code = function(session, **options)
        except CoordinatorError as error:
            raise CommandError(str(error), returncode=exit_codes.REFUSED) from error
        except (OperationalError, ProgrammingError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise CommandError(
                f"The database cannot be used ({reason}); check DATABASE_URL, and run 'manage.py migrate'.",
                returncode=exit_codes.REFUSED,
            ) from error
        except BrokenPipeError:
            abandon_output()
            code = exit_codes.PIPE_CLOSED
        except KeyboardInterrupt:
            code = exit_codes.DETACHED
        finally:
            session.close()
        if code:
            sys.exit(code)
