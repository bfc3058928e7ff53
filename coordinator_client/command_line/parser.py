"""A parser of arguments that suggests what was meant, and shows all verbs where one is missing."""

import sys
from argparse import Action, ArgumentError, ArgumentParser
from collections.abc import Iterable
from typing import Any, NoReturn

VERB = "VERB"
USAGE_ERROR = 2
# Names of these verbs in other command lines.
ELSEWHERE = {
    "apply": "import",
    "cancel": "stop",
    "create": "add",
    "describe": "show",
    "get": "list",
    "logs": "follow",
    "ls": "list",
    "rm": "delete",
    "start": "run",
    "view": "show",
    "watch": "follow",
}


class VerbParser(ArgumentParser):
    """Options cannot be abbreviated: a script would break when a longer one is added."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **how})

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        kind = str(action.metavar or "value").lower()
        sentence = f"unknown {kind} {value!r}; {suggest(str(value), action.choices)}"
        raise ArgumentError(None if action.metavar == VERB else action, sentence)

    def error(self, message: str) -> NoReturn:
        if message.endswith(f"required: {VERB}"):
            self.print_help(sys.stderr)
            self.exit(USAGE_ERROR)
        super().error(message)


def suggest(word: str, choices: Iterable[Any]) -> str:
    """The names that were perhaps meant, or all of them."""
    from difflib import get_close_matches  # noqa: PLC0415 - slow, and for mistakes only

    known = [str(choice) for choice in choices]
    meant = ELSEWHERE.get(word, "")
    close = [meant] if meant in known else get_close_matches(word, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"choose one of {', '.join(known)}"
