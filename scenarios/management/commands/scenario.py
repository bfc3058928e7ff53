"""`manage.py scenario …`: docs/command-line.md describes its commands and exit codes."""

import re
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter
from django.db import DatabaseError, OperationalError, ProgrammingError

from coordinator_client.command_line import exit_codes
from coordinator_client.command_line.coordinator import Coordinator
from coordinator_client.command_line.hints import add_hint
from coordinator_client.command_line.overview import EXIT_CODES, ProgramParser, UnwrappedEpilog
from coordinator_client.command_line.parser import VERB, VerbParser
from coordinator_client.command_line.patience import PatientTransport, choose_timeout
from coordinator_client.command_line.program import GROUPS, abandon_output, prepare_output
from coordinator_client.command_line.remote import RemoteCoordinator
from coordinator_client.command_line.terminal import Terminal
from coordinator_client.command_line.verbs import Place, Session, Verb, add_connection, add_json
from coordinator_client.command_line.wording import set_place, set_program
from coordinator_client.errors import CoordinatorError
from coordinator_client.profiles import read_profile
from coordinator_client.synchronous.client import Client
from scenarios.access import audit
from scenarios.checks import BEFORE_COMMANDS
from scenarios.command_line.local import LocalCoordinator
from scenarios.command_line.local_people import read_account

# Arguments that say what a command is about.
NAMING = ("name", "schedule", "scenario", "suite", "files", "run", "fault", "approval", "token")
# Verbs that change nothing.
READING = re.compile(r"(list|show|validate|follow|export|write|whoami|log_(in|out))")


class Help(UnwrappedEpilog, DjangoHelpFormatter):
    """Django's, with the exit codes."""


class ScenarioVerbParser(VerbParser, CommandParser):
    """Suggests what was meant; for `call_command`, a mistake is a CommandError."""


class ScenarioParser(ProgramParser, CommandParser):
    """The same for the whole command, whose help shows the verbs by subject."""


class DatabaseUnusable(CoordinatorError):  # noqa: N818 - a state
    """The database does not respond, or has no tables."""

    code = "database_unavailable"


def connect(place: Place) -> Coordinator:
    """Use this machine's database, or the API of another coordinator."""
    if not (place.server or place.profile):
        return LocalCoordinator()
    found = read_profile(place.profile, server=place.server, authority=place.authority)
    # .env is read by the settings, and not part of the environment.
    token = found.token or settings.TEST_COORDINATOR_TOKEN
    source = found.token_source or ("TEST_COORDINATOR_TOKEN in .env" if token else "")
    timeout = choose_timeout(place.request_timeout)
    client = Client(
        found.server, token, authority=found.authority, timeout=timeout, transport=PatientTransport
    )
    return RemoteCoordinator(client, source)


def record(name: str, options: Mapping[str, Any], code: int | None) -> None:
    """Write to the audit what the command did, without its variables, which may be secrets."""
    named = [options[word] for word in NAMING if options.get(word)]
    target = " ".join(" ".join(map(str, word)) if isinstance(word, list) else str(word) for word in named)
    target += f" as {options['by']}" if options.get("by") else ""
    result = "refused" if code is None else f"exit code {code}" if code else "done"
    with suppress(DatabaseError):
        audit.record_command(read_account(), socket.gethostname(), name.replace("_", " "), target, result)


class Command(BaseCommand):
    help = "Store and run scenarios, and manage runs, faults, schedules, services and hosts."
    requires_system_checks = BEFORE_COMMANDS
    wants_traceback = False

    def add_arguments(self, parser: CommandParser) -> None:
        set_program("manage.py scenario")
        # Django has no place to choose the class.
        parser.__class__ = ScenarioParser
        parser.allow_abbrev, parser.formatter_class, parser.epilog = False, Help, EXIT_CODES
        add_connection(parser, "")
        add_json(parser, default=False)
        verbs = parser.add_subparsers(
            dest="verb", required=True, metavar=VERB, parser_class=ScenarioVerbParser
        )
        for group in GROUPS:
            group.add_to(verbs)

    def handle(
        self,
        *_arguments: Any,
        function: Verb,
        server: str,
        profile: str,
        authority: str,
        request_timeout: float | None,
        wants_json: bool,
        **options: Any,
    ) -> None:
        prepare_output()
        self.wants_traceback = bool(options["traceback"])
        terminal = Terminal(
            wants_json=wants_json,
            no_color=options["no_color"],
            write=partial(self.stdout.write, ending=""),
        )
        code: int | None = None
        place = Place(server, profile, authority, request_timeout)
        set_place(server, profile)
        session = Session(connect, place, terminal)
        try:
            code = function(session, **options)
        except CoordinatorError as error:
            terminal.show_error(error)
            code_of_error = exit_codes.find_refusal_code(error)
            raise self._build_refusal(terminal, add_hint(session, error), code_of_error) from error
        except (OperationalError, ProgrammingError) as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            sentence = (
                f"The database cannot be used ({reason}); check DATABASE_URL, and run 'manage.py migrate'."
            )
            terminal.show_error(DatabaseUnusable(sentence))
            raise self._build_refusal(terminal, sentence, exit_codes.REFUSED) from error
        except BrokenPipeError:
            abandon_output()
            code = exit_codes.PIPE_CLOSED
        except KeyboardInterrupt:
            code = exit_codes.DETACHED
        finally:
            session.close()
            if not (server or profile or READING.match(function.__name__)):
                record(function.__name__, options, code)
        if code:
            sys.exit(code)

    def _build_refusal(self, terminal: Terminal, sentence: str, code: int) -> CommandError | SystemExit:
        """For programs, as Django does; for people, as `test-coordinator` does, also with NO_COLOR."""
        if not getattr(self, "_called_from_command_line", False) or self.wants_traceback:
            return CommandError(sentence, returncode=code)
        terminal.complain(sentence)
        return SystemExit(code)
