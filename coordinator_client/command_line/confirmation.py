"""Questions before what cannot be undone: asked of people at a terminal only, never of scripts."""

import sys
from argparse import ArgumentParser

from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.terminal import Terminal, escape_text


def add_yes(parser: ArgumentParser) -> None:
    parser.add_argument(
        "-y", "--yes", action="store_true", help="Do not ask for confirmation, as in scripts anyway."
    )


def asks(terminal: Terminal, *, yes: bool) -> bool:
    """False if the answer is given, or input or output is not a terminal."""
    return not (yes or terminal.wants_json) and has_terminal()


def confirm(terminal: Terminal, question: str, *, yes: bool) -> None:
    """Ask, if `asks`.

    Raises:
        CommandRefused: the answer is not yes.
    """
    if not asks(terminal, yes=yes):
        return
    terminal.errors.print(f"{escape_text(question)} [y/N] ".replace("[y/N]", r"\[y/N]"), end="")
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise CommandRefused("Nothing was changed.")


def has_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
