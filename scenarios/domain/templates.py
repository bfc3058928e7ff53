"""`${name}` inside strings, and `$${` for a literal `${`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

VARIABLE_NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,62}"
# What a templated string looks like, for JSON Schema.
TEMPLATE_PATTERN = rf"\$\{{{VARIABLE_NAME}\}}"
_NAME = re.compile(VARIABLE_NAME)
_TOKEN = re.compile(r"\$\$\{|\$\{([^{}]*)(\}?)")


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${name}`; `broken` says what is wrong with its form, if anything."""

    name: str
    broken: str = ""


def references(text: str) -> Iterator[Reference]:
    if "${" not in text:
        return
    for found in _TOKEN.finditer(text):
        name = found[1]
        if name is None:
            continue
        if not found[2]:
            yield Reference(
                name, f"{found[0][:80]!r} is not closed: write '${{name}}', or '$${{' for a literal '${{'"
            )
        elif not _NAME.fullmatch(name):
            rule = "a variable's name is letters, digits, '_' and '-', and begins with a letter"
            yield Reference(name, f"{found[0][:80]!r} names no variable: {rule}")
        else:
            yield Reference(name)


def is_templated(value: object) -> bool:
    return isinstance(value, str) and next(references(value), None) is not None


def names_in(value: Any) -> set[str]:
    """The variables that a JSON value refers to, however deep (nesting is limited by the reader)."""
    if isinstance(value, str):
        return {reference.name for reference in references(value)}
    if isinstance(value, Mapping):
        return set().union(*map(names_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(names_in, value))
    return set()


def substitute(value: Any, variables: Mapping[str, Any]) -> Any:
    """The JSON value with its variables filled in; a name that is not given stays as it is."""
    if isinstance(value, str):
        return _substitute_text(value, variables) if "${" in value else value
    if isinstance(value, Mapping):
        return {_substitute_key(key): substitute(child, variables) for key, child in value.items()}
    if isinstance(value, list):
        return [substitute(child, variables) for child in value]
    return value


def _substitute_key(key: str) -> str:
    return key.replace("$${", "${") if "$${" in key else key


def _substitute_text(text: str, variables: Mapping[str, Any]) -> Any:
    if (alone := _TOKEN.fullmatch(text)) and alone[1] in variables:
        return variables[alone[1]]

    def filled(found: re.Match[str]) -> str:
        if found[1] is None:
            return "${"
        return as_text(variables[found[1]]) if found[1] in variables else found[0]

    return _TOKEN.sub(filled, text)


def as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
