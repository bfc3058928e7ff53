"""Declares verbs: a parser, a function, and the session that the function gets."""

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scenarios.command_line.coordinator import Coordinator
from scenarios.command_line.terminal import Terminal

RUN_HELP = "The id of the run, or the beginning of it."

VARIABLE_HELP = (
    "Set a variable of the scenario, without a value to that of the environment variable; can be repeated."
)
SERVER_HELP = "Use the API of this coordinator; the token is read from TEST_COORDINATOR_TOKEN."


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb gets."""

    coordinator: Coordinator
    terminal: Terminal
    is_remote: bool = False


Verb = Callable[..., int]
"""Takes a session and the verb's options; returns the exit code."""


def add_verb(verbs: Any, function: Verb, name: str, help_text: str, *, shows: bool = False) -> ArgumentParser:
    """`shows`: the verb has output for programs, by `--json`."""
    parser: ArgumentParser = verbs.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(function=function)
    # `--server` is also accepted before the verb; the default is there.
    parser.add_argument("--server", metavar="URL", default=SUPPRESS, help=SERVER_HELP)
    if shows:
        parser.add_argument("--json", action="store_true", dest="wants_json", help="Write JSON.")
    return parser


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
