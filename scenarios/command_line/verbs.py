"""How a verb is declared: its parser, its function, and what the function is given."""

from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scenarios.command_line.coordinator import Coordinator
from scenarios.command_line.terminal import Terminal

RUN_HELP = "The run's id, or its first characters."

SERVER_HELP = "A coordinator elsewhere, as https://coordinator.example; its token in TEST_COORDINATOR_TOKEN."


@dataclass(frozen=True, slots=True)
class Session:
    """What a verb works with."""

    coordinator: Coordinator
    terminal: Terminal
    is_remote: bool = False


Verb = Callable[..., int]
"""Takes a session and the verb's options; returns the exit code."""


def add_verb(verbs: Any, function: Verb, name: str, help_text: str, *, shows: bool = False) -> ArgumentParser:
    """`shows`: it lists or shows something, so that `--json` makes sense."""
    parser: ArgumentParser = verbs.add_parser(name, help=help_text, description=help_text)
    parser.set_defaults(function=function)
    # Also accepted before the verb, where its default stands.
    parser.add_argument("--server", metavar="URL", default=SUPPRESS, help=SERVER_HELP)
    if shows:
        parser.add_argument("--json", action="store_true", dest="wants_json", help="One JSON document.")
    return parser
