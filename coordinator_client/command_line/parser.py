"""A parser of arguments that suggests what was meant, and shows all verbs where one is missing."""

import sys
from argparse import PARSER, Action, ArgumentError, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

VERB = "VERB"
USAGE_ERROR = 2
# Names of these verbs in other command lines.
ELSEWHERE = {
    "apply": "import",
    "auth": "login",
    "cancel": "stop",
    "create": "add",
    "describe": "show",
    "get": "list",
    "logs": "follow",
    "ls": "list",
    "rm": "delete",
    "scenario": "list",
    "scenarios": "list",
    "start": "run",
    "view": "show",
    "watch": "follow",
}
# The same of options.
OPTIONS_ELSEWHERE = {
    "-L": "--limit",
    "-f": "--var",
    "-n": "--limit",
    "-o": "--json",
    "-q": "--json",
    "-s": "--status",
    "-u": "--by",
    "-w": "--watch",
    "--output": "--json",
    "--user": "--by",
}

# What is given to an option that reads or writes there.
PLACES = {"FILE", "FOLDER"}
# Options of other command lines that select parts of JSON.
JSON_PROGRAMS = ("--jq", "--jsonpath", "--query", "--template")


class StoreOnce(Action):
    """An option with one value. Given twice, it is refused: the last value would win without a word."""

    _stored_in: Namespace | None = None

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        del parser
        refuse_second(self, self._stored_in, namespace, values, option_string)
        self._stored_in = namespace
        setattr(namespace, self.dest, values)


class ChooseOnce(BooleanOptionalAction):
    """An option with two forms, as `--protected` and `--no-protected`; only one of them can be given."""

    _stored_in: Namespace | None = None

    def __call__(
        self, parser: ArgumentParser, namespace: Namespace, values: Any, option_string: str | None = None
    ) -> None:
        chosen = not (option_string or "").startswith("--no-")
        refuse_second(self, self._stored_in, namespace, chosen, option_string)
        self._stored_in = namespace
        super().__call__(parser, namespace, values, option_string)


def refuse_second(
    action: Action, stored_in: Namespace | None, namespace: Namespace, value: Any, option: str | None
) -> None:
    """Raise ArgumentError if this parse has given the option another value; the same one does no harm."""
    if option and stored_in is namespace and getattr(namespace, action.dest) != value:
        raise ArgumentError(action, "given twice, with different values; give it once")


def forbid_repetition(parser: ArgumentParser) -> None:
    """For the options that are added to the parser from now on, and that say nothing else."""
    parser.register("action", None, StoreOnce)
    parser.register("action", "store", StoreOnce)


class VerbParser(ArgumentParser):
    """Options cannot be abbreviated: a script would break when a longer one is added."""

    def __init__(self, **how: Any) -> None:
        super().__init__(**{"allow_abbrev": False, **how})

    def _get_values(self, action: Action, arg_strings: list[str]) -> Any:
        """An empty name is a variable of the shell that is not set, and Path("") would be this folder."""
        is_place = not action.option_strings or action.metavar in PLACES
        if is_place and action.nargs != PARSER and "" in arg_strings:
            raise ArgumentError(action, "'' is empty; perhaps a variable of the shell is not set")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        kind = str(action.metavar or "value").lower()
        sentence = f"unknown {kind} {value!r}; {suggest(str(value), action.choices)}"
        raise ArgumentError(None if action.metavar == VERB else action, sentence)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """A verb itself refuses what it does not know: the program would show the usage of all verbs."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(self._explain_unknown(unknown, list(sys.argv[1:] if args is None else args)))
        return found, unknown

    def _explain_unknown(self, unknown: Sequence[str], words: Sequence[str]) -> str:
        sentence = f"unrecognized arguments: {' '.join(unknown)}"
        first = unknown[0]
        if not first.startswith("-"):
            before = words[words.index(first) - 1] if first in words[1:] else ""
            return (
                f"{sentence}; '--json' takes no value, it writes every field"
                if before == "--json"
                else sentence
            )
        name = first.partition("=")[0]
        if name in JSON_PROGRAMS:
            return f"{sentence}; write JSON into the program jq: '{self.prog} … --json | jq .items'"
        options = [option for option in self._option_string_actions if option.startswith("--")]
        meant = find_meant(name, options, OPTIONS_ELSEWHERE)
        return f"{sentence}; did you mean {meant!r}?" if meant else sentence

    def error(self, message: str) -> NoReturn:
        if message.endswith(f"required: {VERB}"):
            self.print_help(sys.stderr)
            self.exit(USAGE_ERROR)
        super().error(message)


def suggest(word: str, choices: Iterable[Any]) -> str:
    """The names that were perhaps meant, or all of them."""
    known = [str(choice) for choice in choices]
    meant = find_meant(word, known, ELSEWHERE)
    return f"did you mean {meant!r}?" if meant else f"choose one of {', '.join(known)}"


def find_meant(word: str, known: Sequence[str], elsewhere: Mapping[str, str]) -> str:
    """The name that was perhaps meant, or ""."""
    from difflib import get_close_matches  # noqa: PLC0415 - slow, and for mistakes only

    if (meant := elsewhere.get(word, "")) in known:
        return meant
    return next(iter(get_close_matches(word, known, n=1)), "")
