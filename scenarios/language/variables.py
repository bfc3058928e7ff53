"""The variables of a scenario: their declarations, and their values for a run."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue

from scenarios.domain.declarations import ABSENT, Declaration, Text
from scenarios.domain.durations import parse_duration
from scenarios.domain.errors import InvalidVariables
from scenarios.domain.expectations import format_value
from scenarios.domain.outputs import read_json
from scenarios.domain.patterns import compile_pattern
from scenarios.domain.templates import format_scalar
from scenarios.language.core_scalars import parse_scalar
from scenarios.language.yaml_text import holds_control_characters

MAX_TEXT_LENGTH = 10_000
MAX_ITEMS = 1_000
Kind = Literal["string", "integer", "number", "boolean", "duration", "list"]
_ORDERED = ("integer", "number", "duration")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_duration(value: Any) -> bool:
    try:
        parse_duration(value)
    except ValueError:
        return False
    return True


def _is_item(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


_IS_KIND: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "integer": _is_whole,
    "number": lambda value: _is_whole(value) or isinstance(value, float),
    "boolean": lambda value: isinstance(value, bool),
    "duration": _is_duration,
    "list": lambda value: isinstance(value, list) and all(map(_is_item, value)),
}
_KIND_NAMES = {
    "string": "text: put it in quotes",
    "integer": "a whole number, such as 5",
    "number": "a number, such as 0.5",
    "boolean": "true or false",
    "duration": "a duration, such as '500ms' or '1h30m'",
    "list": "a list of text and numbers, such as [a, b]",
}
_SCALAR_SCHEMA: dict[str, JsonValue] = {"type": ["string", "number", "boolean"]}
_DEFAULT_SCHEMA: dict[str, JsonValue] = {
    "type": ["string", "number", "boolean", "array"],
    "items": {"type": ["string", "number"]},
    "maxItems": MAX_ITEMS,
}


class Variable(Declaration):
    """`pattern` must match the whole value. `min` and `max` are for numbers and durations. A `list` has text
    and numbers; `choices` and `pattern` are for each of its values. In a text, and on the command line, it is
    written with commas: `a,b`.
    """

    type: Kind
    default: Any = Field(ABSENT, json_schema_extra=_DEFAULT_SCHEMA)
    min: Any = Field(ABSENT, json_schema_extra={"type": ["string", "number"]})
    max: Any = Field(ABSENT, json_schema_extra={"type": ["string", "number"]})
    choices: list[Any] = Field([], json_schema_extra={"items": _SCALAR_SCHEMA})
    pattern: str = Field(ABSENT)
    description: Text = ""

    @property
    def is_required(self) -> bool:
        return "default" not in self.model_fields_set

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        kind = values.get("type")
        if not isinstance(kind, str) or kind not in _IS_KIND:
            return
        broken = dict(_find_declaration_errors(kind, values))
        yield from broken.items()
        rules = {word: rule for word, rule in values.items() if word not in broken}
        if "default" in values and (miss := find_misfit(kind, rules, values["default"])):
            yield "default", f"the default {miss}"

    def misfit(self, value: Any) -> str:
        return find_misfit(self.type, self.model_dump(exclude_unset=True), value)


def _find_declaration_errors(kind: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the keys that do not fit the type or each other, each with a sentence."""
    limits = {}
    for word in ("min", "max"):
        if word in given and kind not in _ORDERED:
            yield word, f"{word!r} is for integer, number and duration, not for {kind}: remove it"
        elif word in given and not _IS_KIND[kind](given[word]):
            yield word, f"{word!r} is {format_value(given[word])}, not {_KIND_NAMES[kind]}"
        elif word in given:
            limits[word] = _rank(given[word])
    if len(limits) == len(("min", "max")) and limits["min"] > limits["max"]:
        yield "max", f"'max' ({format_value(given['max'])}) is less than 'min' ({format_value(given['min'])})"
    yield from _find_choices_errors(kind, given)
    yield from _find_pattern_errors(kind, given)


def _find_choices_errors(kind: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    choices = given.get("choices")
    if choices == []:
        yield "choices", "'choices' is empty: name the allowed values, or remove it"
    elif isinstance(choices, list) and (
        strangers := [
            choice for choice in choices if not (_is_item if kind == "list" else _IS_KIND[kind])(choice)
        ]
    ):
        what = "text or a number" if kind == "list" else _KIND_NAMES[kind]
        yield "choices", f"{format_value(strangers[0])} in 'choices' is not {what}"


def _find_pattern_errors(kind: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    pattern = given.get("pattern")
    if not isinstance(pattern, str):
        return
    if kind not in {"string", "list"}:
        yield "pattern", f"'pattern' is for string and list, not for {kind}: remove it"
        return
    try:
        compile_pattern(pattern)
    except ValueError as error:
        yield "pattern", str(error)


def _rank(value: Any) -> Any:
    return parse_duration(value) if isinstance(value, str) else value


def find_misfit(kind: str, rules: Mapping[str, Any], value: Any) -> str:
    """Why the value does not fit the type and the rules; '' if it does."""
    if not _IS_KIND[kind](value):
        return f"is {format_value(value)}, not {_KIND_NAMES[kind]}"
    if isinstance(value, list):
        return _find_misfit_of_list(rules, value)
    return next(_find_broken_rules(rules, value), "")


def _find_misfit_of_list(rules: Mapping[str, Any], values: list[Any]) -> str:
    if len(values) > MAX_ITEMS:
        return f"has {len(values):,} values: at most {MAX_ITEMS:,} are allowed"
    broken = ((value, rule) for value in values for rule in _find_broken_rules(rules, value))
    return next((f"has a value that {rule}" for _value, rule in broken), "")


def _find_broken_rules(rules: Mapping[str, Any], value: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) > MAX_TEXT_LENGTH:
        yield f"is {len(value)} characters long: at most {MAX_TEXT_LENGTH} are allowed"
    if isinstance(value, str) and holds_control_characters(value):
        yield f"is {format_value(value)}, which contains a control character: remove it"
    if "min" in rules and _rank(value) < _rank(rules["min"]):
        yield f"is {format_value(value)}: it must be at least {format_value(rules['min'])}"
    if "max" in rules and _rank(value) > _rank(rules["max"]):
        yield f"is {format_value(value)}: it must be at most {format_value(rules['max'])}"
    if isinstance(choices := rules.get("choices"), list) and choices and value not in choices:
        yield f"is {format_value(value)}; choose one of {', '.join(map(format_value, choices))}"
    pattern = rules.get("pattern")
    if isinstance(pattern, str) and not compile_pattern(pattern).fullmatch(format_scalar(value)):
        yield f"is {format_value(value)}, which does not match the pattern {format_value(pattern)}"


def resolve_values(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a value for every variable: the given one or its default.

    Values may be JSON, or text from a command line: '5' becomes a whole number for a variable of that type.

    Raises:
        InvalidVariables: a name is unknown or missing, or a value does not fit; with a sentence for each.
    """
    errors = {name: _explain_unknown(name, variables) for name in given if name not in variables}
    values: dict[str, Any] = {}
    for name, variable in variables.items():
        if name in given:
            values[name] = _read_text(variable.type, given[name])
            if miss := variable.misfit(values[name]):
                errors[name] = f"variable {name!r} {miss}"
        elif variable.is_required:
            errors[name] = f"variable {name!r} has no default: give it a value, {_KIND_NAMES[variable.type]}"
        else:
            values[name] = variable.default
    if errors:
        raise InvalidVariables(errors)
    return values


def read_given(variables: Mapping[str, Variable], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given values alone, each of its variable's type: text from a command line is read."""
    return {name: _read_text(variables[name].type, value) for name, value in given.items()}


def _read_text(kind: str, value: Any) -> Any:
    if not isinstance(value, str) or kind in {"string", "duration"}:
        return value
    if kind == "list":
        return _read_list(value)
    try:
        return parse_scalar(value)
    except ValueError:
        return value


def _read_list(text: str) -> Any:
    """The list that is written as JSON, or with commas: `80,443` and `a,b`."""
    if text.lstrip().startswith("["):
        try:
            return read_json(text)
        except (ValueError, RecursionError):
            return text
    return [_read_item(item.strip()) for item in text.split(",") if item.strip()]


def _read_item(text: str) -> Any:
    """A number only if it is written as one would write it: not '007' or '1_000'."""
    try:
        value = parse_scalar(text)
    except ValueError:
        return text
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return value if is_number and str(value) == text else text


def _explain_unknown(name: str, variables: Mapping[str, Variable]) -> str:
    near = difflib.get_close_matches(str(name)[:64], variables, n=1)
    if near:
        return f"unknown variable {str(name)[:80]!r}: did you mean {near[0]!r}?"
    known = ", ".join(variables) or "no variables"
    return f"unknown variable {str(name)[:80]!r}; the scenario has {known}"


def parse_pairs(words: list[str]) -> dict[str, str]:
    """Parse the `name=value` arguments of a command line.

    Raises:
        InvalidVariables: an argument has no '='.
    """
    errors = {word: f"{word!r} has no value: write it as 'name=value'" for word in words if "=" not in word}
    if errors:
        raise InvalidVariables(errors)
    return {name.strip(): value for name, _, value in (word.partition("=") for word in words)}
