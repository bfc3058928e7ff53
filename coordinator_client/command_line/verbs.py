"""Declares verbs: a parser, a function, and the session that the function gets."""

from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from coordinator_client.command_line import completion
from coordinator_client.command_line.coordinator import CommandRefused, Coordinator
from coordinator_client.command_line.moments import parse_timeout
from coordinator_client.command_line.parser import forbid_repetition
from coordinator_client.command_line.terminal import Terminal

MIN_PRIORITY, MAX_PRIORITY = -100, 100
RUN_HELP = "The id of the run, or the beginning of it, or 'latest'."

VARIABLE_HELP = (
    "Set a variable of the scenario; NAME alone takes the value of the environment variable. Can be repeated."
)
SERVER_HELP = "Use the API of this coordinator, with the token of TEST_COORDINATOR_TOKEN or of its profile."
PROFILE_HELP = "Use the coordinator and the token of this profile."
PERSON_HELP = "On this machine only: the user to act as (default: the one with the name of your account)."
AUTHORITY_HELP = "Trust the certificates of this private authority only (default: those of the system)."

TIMEOUT_HELP = "Give up if the coordinator does not respond within this, for example 10s (default: 30s)."


@dataclass(frozen=True, slots=True)
class Place:
    """Where the coordinator is, and for how many seconds it may be silent, as the options say it."""

    server: str = ""
    profile: str = ""
    authority: str = ""
    request_timeout: float | None = None


PLACE_OPTIONS = ("server", "profile", "authority", "request_timeout")


class Session:
    """What a verb gets. The coordinator is connected when a verb first needs it."""

    def __init__(self, connect: Callable[[Place], Coordinator], place: Place, terminal: Terminal) -> None:
        self._connect = connect
        self.place = place
        self.terminal = terminal

    @cached_property
    def coordinator(self) -> Coordinator:
        return self._connect(self.place)

    @property
    def token_source(self) -> str:
        """Where the token of a coordinator that was connected comes from; "" if it has none."""
        return getattr(vars(self).get("coordinator"), "token_source", "")

    def close(self) -> None:
        if "coordinator" in vars(self):
            self.coordinator.close()


Verb = Callable[..., int]
"""Takes a session and the verb's options; returns the exit code."""
Completer = Callable[..., Sequence[str] | Mapping[str, str]]


def add_verb(
    verbs: Any, function: Verb, name: str, help_text: str, *, aliases: Sequence[str] = ()
) -> ArgumentParser:
    parser: ArgumentParser = verbs.add_parser(
        name, help=help_text, description=help_text, aliases=list(aliases), allow_abbrev=False
    )
    parser.set_defaults(function=function)
    add_shared_options(parser)
    return parser


def add_group(verbs: Any, name: str, help_text: str) -> Any:
    """A noun with verbs of its own, as in `service list`."""
    parser = verbs.add_parser(name, help=help_text, description=help_text, allow_abbrev=False)
    add_shared_options(parser)
    return parser.add_subparsers(dest="what", required=True, metavar="VERB")


def add_shared_options(parser: ArgumentParser) -> None:
    """Accepted before the verb and after it; the defaults belong to the first place.

    What stands after the verb counts, so that an alias such as `test-coordinator --profile staging` can be
    overruled.
    """
    add_connection(parser, SUPPRESS)
    add_json(parser, SUPPRESS)
    parser.add_argument("--no-color", action="store_true", default=SUPPRESS, help="Do not use colours.")


def add_json(parser: ArgumentParser, default: Any) -> None:
    parser.add_argument("--json", action="store_true", dest="wants_json", default=default, help="Write JSON.")


def add_connection(parser: ArgumentParser, default: str) -> None:
    forbid_repetition(parser)
    parser.add_argument("--server", metavar="URL", default=default, help=SERVER_HELP)
    add_completed(
        parser,
        "--profile",
        completion.complete_profiles,
        metavar="NAME",
        default=default,
        help_text=PROFILE_HELP,
    )
    parser.add_argument("--ca", metavar="FILE", default=default, dest="authority", help=AUTHORITY_HELP)
    parser.add_argument(
        "--request-timeout",
        type=parse_timeout,
        metavar="DURATION",
        default=default or None,
        help=TIMEOUT_HELP,
    )


def add_completed(
    parser: ArgumentParser, name: str, completer: Completer, *, help_text: str, **how: Any
) -> None:
    """An argument whose values the shell completes by asking the coordinator."""
    parser.add_argument(name, help=help_text, **how).completer = completer  # type: ignore[attr-defined]


def add_run(parser: ArgumentParser, name: str = "run", *, help_text: str = RUN_HELP, **how: Any) -> None:
    add_completed(parser, name, completion.complete_runs, help_text=help_text, metavar="RUN", **how)


def add_variables(parser: ArgumentParser, *, help_text: str = VARIABLE_HELP) -> None:
    add_completed(
        parser,
        "--var",
        completion.complete_variables,
        help_text=help_text,
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        dest="variables",
    )


def add_unset_variables(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--unset-var",
        action="append",
        default=[],
        metavar="NAME",
        dest="unset",
        help="Remove a variable; can be repeated. The variables that are not named stay as they are.",
    )


def check_unset(unset: Sequence[str], variables: Mapping[str, object], owner: str) -> None:
    """Raises CommandRefused if `owner`, such as "schedule 'nightly'", has no such variable."""
    for name in unset:
        if name not in variables:
            known = f"; it has {', '.join(variables)}" if variables else ""
            raise CommandRefused(f"The {owner} has no variable {name!r}{known}.")


def add_vars_file(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--vars-file",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        dest="vars_files",
        help="Read variables from a YAML or JSON file with names and values; '--var' takes precedence.",
    )


def add_person(parser: ArgumentParser) -> None:
    parser.add_argument("--as", default="", metavar="USER", dest="by", help=PERSON_HELP)


def add_priority(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--priority",
        type=_parse_priority,
        default=0,
        metavar="N",
        help="From -100 to 100; among waiting runs, the highest begins first (default: 0).",
    )


def parse_number(text: str) -> int:
    """A whole number that is not negative; argparse would speak of an 'int'."""
    if not (text.isascii() and text.isdecimal()):
        raise ArgumentTypeError(f"invalid number {text!r}; write it in digits, for example 5")
    return int(text)


def _parse_priority(text: str) -> int:
    number = int(text) if text.lstrip("-").isdecimal() else MAX_PRIORITY + 1
    if not MIN_PRIORITY <= number <= MAX_PRIORITY:
        raise ArgumentTypeError(
            f"invalid priority {text!r}; choose a whole number from {MIN_PRIORITY} to {MAX_PRIORITY}"
        )
    return number
