"""`${name}` inside strings, `${secret:NAME}`, `${saved.NAME}`, and `$${` for a literal `${`.

Variables are filled in when a run is started. References to secrets and to saved values stay in the plan
until a step runs (`insert_secrets`, `scenarios.domain.saved_values`). A variable's value must not be able to
introduce such a reference. Therefore the plan doubles the dollar signs of text that only looks like one: an
odd number of them before `{secret:` or `{saved.` begins a reference, an even number does not.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"
FAULT_ID = "fault.id"
# Names that no scenario declares; a variable `now` takes precedence over the built-in one.
BUILT_IN_NAMES = ("run.id", "run.short_id", "scenario.name", "now", FAULT_ID)
# The pattern of a string with a template, for JSON Schema.
TEMPLATE_PATTERN = (
    rf"\$\{{((secret:|saved\.)?{VARIABLE_NAME}|run\.id|run\.short_id|scenario\.name|{re.escape(FAULT_ID)})\}}"
)
# Of a text that is nothing but a reference to a secret.
SECRET_PATTERN = rf"^\$\{{secret:{VARIABLE_NAME}\}}$"
# The parts of `spec` in which variables are filled in; anywhere else `${` is ordinary text.
TEMPLATED_PARTS = ("timeout", "retry_interrupted", "guards", "load", "phases")
_NAME = re.compile(VARIABLE_NAME)
_LITERAL = ("", "")
_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")
_SECRET = "secret:"  # noqa: S105 - the word of the language
SAVED = "saved."
_LOOKS_LIKE_A_REFERENCE = re.compile(r"\$+(?=\{(?:secret:|saved\.))")
_SECRET_REFERENCE = re.compile(rf"(\$+)\{{secret:(?:({VARIABLE_NAME})\}})?")


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${name}`, `${secret:name}` or `${saved.name}`; `broken` says what is wrong with its syntax."""

    name: str
    broken: str = ""
    is_secret: bool = False
    is_saved: bool = False

    @property
    def is_late(self) -> bool:
        """Whether it is filled in only when a step runs."""
        return self.is_secret or self.is_saved


def find_references(text: str) -> Iterator[Reference]:
    if "${" not in text:
        return
    for found in _TOKEN.finditer(text):
        if found[1] is not None:
            yield _parse_reference(found[0], found[1], found[2])


# A document may refer to one variable tens of thousands of times.
@lru_cache(maxsize=1024)
def _parse_reference(text: str, inside: str, end: str) -> Reference:
    is_secret, is_saved = inside.startswith(_SECRET), inside.startswith(SAVED)
    name = inside.removeprefix(_SECRET if is_secret else SAVED)
    broken = ""
    if not end:
        broken = f"{text[:80]!r} is not closed: write '${{name}}', or '$${{' for a literal '${{'"
    elif not _NAME.fullmatch(name) and (is_secret or is_saved or name not in BUILT_IN_NAMES):
        what = "secret" if is_secret else "saved value" if is_saved else "variable"
        rule = f"a {what}'s name is letters, digits, '_' and '-', and begins with a letter"
        broken = f"{text[:80]!r} does not name a {what}: {rule}"
    return Reference(name, broken, is_secret, is_saved)


def is_secret(text: str) -> bool:
    """Whether the text is a reference to a secret, and nothing else."""
    return re.fullmatch(SECRET_PATTERN.strip("^$"), text) is not None


def is_templated(value: object) -> bool:
    return isinstance(value, str) and next(find_references(value), None) is not None


def has_late_reference(value: object) -> bool:
    """Whether the text is complete only when a step runs, because of a secret or a saved value."""
    return isinstance(value, str) and any(reference.is_late for reference in find_references(value))


def find_variables(value: Any) -> set[str]:
    """The names of all variables in a JSON value, at any depth (the parser limits the nesting)."""
    if isinstance(value, str):
        return {reference.name for reference in find_references(value) if not reference.is_late}
    if isinstance(value, Mapping):
        return set().union(*map(find_variables, value.values()))
    if isinstance(value, list):
        return set().union(*map(find_variables, value))
    return set()


def substitute(value: Any, variables: Mapping[str, Any]) -> Any:
    """The JSON value with its variables filled in; names without a value are left unchanged."""
    if isinstance(value, str):
        return _substitute_text(value, variables) if "${" in value else value
    if isinstance(value, Mapping):
        return {_substitute_key(key): substitute(child, variables) for key, child in value.items()}
    if isinstance(value, list):
        return [substitute(child, variables) for child in value]
    return value


def measure_values(value: Any, lengths: Mapping[str, int]) -> int:
    """How many characters `substitute` would insert; `lengths` has the length of each variable's value."""
    return sum(lengths.get(inside, 0) for inside, _end in _find_tokens(_find_templated_texts(value)[0]))


def collect_references(value: Any) -> tuple[set[Reference], bool]:
    """The distinct references in a JSON value, and whether any key may contain one.

    Searches all texts at once, which is much faster in a document with thousands of references.
    """
    texts, keys = _find_templated_texts(value)
    tokens = set(_find_tokens(texts)) - {_LITERAL}
    return {_parse_reference(f"${{{inside}{end}", inside, end) for inside, end in tokens}, bool(keys)


def _find_templated_texts(value: Any) -> tuple[list[str], list[str]]:
    """The values and the keys that contain `${`."""
    texts: list[str] = []
    keys: list[str] = []
    left = [value]
    while left:
        part = left.pop()
        if isinstance(part, str):
            if "${" in part:
                texts.append(part)
        elif isinstance(part, Mapping):
            keys += [key for key in part if "${" in key]
            left += part.values()
        elif isinstance(part, list):
            left += part
    return texts, keys


def _find_tokens(texts: list[str]) -> list[tuple[str, str]]:
    """The content and the closing bracket of each `${…}`; _LITERAL for each `$${`."""
    # No match spans two texts: the pattern stops at a bracket, and one follows each text.
    return _TOKEN.findall("".join(f"{text}\n{{" for text in texts))


def _substitute_key(key: str) -> str:
    return key.replace("$${", "${") if "$${" in key else key


def _substitute_text(text: str, variables: Mapping[str, Any]) -> Any:
    if (alone := _TOKEN.fullmatch(text)) and alone[1] in variables:
        value = variables[alone[1]]
        return escape_references(value) if isinstance(value, str) else value
    parts: list[str] = []
    literal = ""
    position = 0
    for found in _TOKEN.finditer(text):
        literal += text[position : found.start()]
        position = found.end()
        if found[1] is None:
            literal += "${"
        elif found[1] in variables:
            literal += format_scalar(variables[found[1]])
        elif _parse_reference(found[0], found[1], found[2]).is_late:
            parts += [escape_references(literal, before_reference=True), found[0]]
            literal = ""
        else:
            literal += found[0]
    return "".join([*parts, escape_references(literal + text[position:])])


def escape_references(text: str, *, before_reference: bool = False) -> str:
    """Escape a text for a plan, so that nothing in it is a reference to a secret or a saved value."""
    escaped = _LOOKS_LIKE_A_REFERENCE.sub(lambda dollars: dollars[0] * 2, text) if "${s" in text else text
    return escaped + "$" * _count_trailing_dollars(escaped) if before_reference else escaped


def _count_trailing_dollars(text: str) -> int:
    return len(text) - len(text.rstrip("$"))


def find_secret_reference(text: str) -> str:
    """The name of the secret where the text is `${secret:NAME}` and nothing else; otherwise ""."""
    found = re.fullmatch(rf"\$\{{{_SECRET}({VARIABLE_NAME})\}}", text)
    return found[1] if found else ""


def insert_secrets(value: Any, secret: Callable[[str], str]) -> Any:
    """Replace the references to secrets in a value of a plan; `secret` returns the secret of a name.

    Everything that is or looks like a reference to a saved value is left unchanged.
    """
    if isinstance(value, str):
        return (
            value
            if "${s" not in value
            else _SECRET_REFERENCE.sub(lambda found: _resolve_secret(found, secret), value)
        )
    if isinstance(value, Mapping):
        return {key: insert_secrets(inner, secret) for key, inner in value.items()}
    if isinstance(value, list):
        return [insert_secrets(inner, secret) for inner in value]
    return value


def _resolve_secret(found: re.Match[str], secret: Callable[[str], str]) -> str:
    dollars = len(found[1])
    if dollars % 2 and found[2]:
        return "$" * (dollars // 2) + secret(found[2])
    return "$" * max(1, dollars // 2) + found[0][dollars:]


def find_secrets(value: Any) -> set[str]:
    """The names of all secrets that a value of a plan refers to."""
    names: set[str] = set()

    def note(name: str) -> str:
        names.add(name)
        return ""

    insert_secrets(value, note)
    return names


def unescape_secrets(value: Any) -> Any:
    """Undo the escaping in a value of a plan that must not contain secrets."""
    return insert_secrets(value, lambda name: f"${{secret:{name}}}")


def format_scalar(value: Any) -> str:
    """The value as a part of a text; a list with commas."""
    if isinstance(value, list):
        return ",".join(map(format_scalar, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
