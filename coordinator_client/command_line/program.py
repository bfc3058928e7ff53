"""The program `test-coordinator`: every verb against a server."""

import os
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Collection, Sequence
from io import TextIOWrapper
from typing import Any

from coordinator_client.command_line import (
    allow_list_verbs,
    api_verb,
    compare_verb,
    completion,
    decision_verbs,
    deletion_verbs,
    edit_verb,
    environment_verbs,
    event_verbs,
    exit_codes,
    export_verb,
    fault_verbs,
    follow_verb,
    history_verbs,
    import_verb,
    login_verbs,
    profile_verbs,
    registration_verbs,
    revert_verb,
    run_verb,
    scenario_verbs,
    schedule_verbs,
    server_commands,
    suite_verbs,
    webhook_verbs,
)
from coordinator_client.command_line.coordinator import Coordinator
from coordinator_client.command_line.hints import add_hint
from coordinator_client.command_line.overview import ProgramParser, UnwrappedEpilog, build_epilog
from coordinator_client.command_line.parser import VERB, VerbParser
from coordinator_client.command_line.terminal import Terminal
from coordinator_client.command_line.verbs import PLACE_OPTIONS, Place, Session, add_connection, add_json
from coordinator_client.command_line.wording import set_place, set_program
from coordinator_client.errors import CoordinatorError
from coordinator_client.profiles import read_profile
from coordinator_client.version import __version__

DESCRIPTION = "Store and run scenarios on a coordinator, and manage runs, faults, schedules and services."
GROUPS = (
    *(scenario_verbs, deletion_verbs, import_verb, export_verb, run_verb, follow_verb, history_verbs),
    *(event_verbs, fault_verbs, schedule_verbs, registration_verbs, environment_verbs, allow_list_verbs),
    *(decision_verbs, edit_verb, revert_verb, webhook_verbs, suite_verbs, api_verb, login_verbs),
    *(profile_verbs, compare_verb),
)


def main(words: Sequence[str] | None = None) -> int:
    prepare_output()
    set_program(completion.PROGRAM)
    words = _read_help(sys.argv[1:] if words is None else words)
    parser, verbs = build_parser(server_commands.find_hint(words))
    completion.start(parser)
    server_commands.hand_over(words, verbs)
    options = vars(parser.parse_args(words))
    options.pop("verb")
    options.pop("what", None)
    place = Place(**{name: options.pop(name) for name in PLACE_OPTIONS})
    set_place(place.server, place.profile)
    terminal = Terminal(wants_json=options.pop("wants_json"), no_color=options.pop("no_color"))
    session = Session(connect, place, terminal)
    try:
        return carry_out(options.pop("function"), session, options)
    finally:
        session.close()


def _read_help(words: Sequence[str]) -> list[str]:
    """`help run` is `run --help`."""
    return [*words[1:], "--help"] if [*words[:1]] == ["help"] else list(words)


def build_parser(hint: str = "") -> tuple[ArgumentParser, Collection[str]]:
    """The parser, and its verbs."""
    parser = ProgramParser(
        prog=completion.PROGRAM,
        description=DESCRIPTION,
        epilog=build_epilog(hint),
        formatter_class=UnwrappedEpilog,
    )
    parser.add_argument("--version", action="version", version=f"test-coordinator {__version__}")
    parser.add_argument("--no-color", action="store_true", help="Do not use colours; NO_COLOR does the same.")
    add_connection(parser, "")
    add_json(parser, default=False)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar=VERB, parser_class=VerbParser)
    for group in GROUPS:
        group.add_to(verbs)
    helping = verbs.add_parser("help", help="Show the help of a verb, for example 'help run'.")
    helping.add_argument("about", nargs="*", choices=list(verbs.choices), metavar=VERB)  # for completion
    return parser, verbs.choices


def connect(place: Place) -> Coordinator:
    from coordinator_client.command_line.patience import PatientTransport, choose_timeout  # noqa: PLC0415
    from coordinator_client.command_line.remote import RemoteCoordinator  # noqa: PLC0415 - not for --help
    from coordinator_client.synchronous.client import Client  # noqa: PLC0415

    found = read_profile(place.profile, server=place.server, authority=place.authority)
    timeout = choose_timeout(place.request_timeout)
    client = Client(
        found.server, found.token, authority=found.authority, timeout=timeout, transport=PatientTransport
    )
    return RemoteCoordinator(client, found.token_source)


def carry_out(function: Callable[..., int], session: Session, options: dict[str, Any]) -> int:
    """Call the verb; returns the exit code. Every error is one sentence on standard error."""
    try:
        code = function(session, **options)
        sys.stdout.flush()
    except BrokenPipeError:
        abandon_output()
        return exit_codes.PIPE_CLOSED
    except CoordinatorError as error:
        session.terminal.show_error(error)
        session.terminal.complain(add_hint(session, error))
        return exit_codes.find_refusal_code(error)
    except OSError as error:  # a full disk behind '>'
        abandon_output()
        session.terminal.complain(f"The output cannot be written: {error.strerror or error}.")
        return exit_codes.REFUSED
    except KeyboardInterrupt:
        return exit_codes.DETACHED
    return code


def prepare_output() -> None:
    """Programs get UTF-8 whatever the locale is, and no character makes a terminal fail.

    With '>&-', Python has no standard output at all. What is written to it then cannot be written, as with
    other programs; messages are dropped.
    """
    for name, mode in (("stdout", os.O_RDONLY), ("stderr", os.O_WRONLY)):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, mode), "w"))
        elif isinstance(stream, TextIOWrapper):
            encoding = stream.encoding if stream.isatty() else "utf-8"
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def abandon_output() -> None:
    """Nobody reads the output, or it has no place; Python would complain again when it exits."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def run_program() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    run_program()
