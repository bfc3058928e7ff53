"""Turns validation errors into messages with the line and column to look at."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scenarios.domain.declarations import MISFIT, RELATION
from scenarios.domain.errors import Problem
from scenarios.domain.expectations import format_value
from scenarios.domain.spelling import suggest
from scenarios.domain.templates import TEMPLATED_PARTS, has_late_reference, is_templated
from scenarios.language.schema import find_words
from scenarios.language.step_words import explain_misplaced_sensitive
from scenarios.language.yaml_nodes import Node

# Comparing names is slow, and a document with nothing but unknown keys must be refused quickly.
_MAX_HINTS = 50
_QUOTED = re.compile(r"'([^']*)'")
_KEY_ERRORS = frozenset({"extra_forbidden", RELATION, MISFIT})
_COLLECTION_ERRORS = frozenset({"model_type", "dict_type", "list_type", "model_attributes_type", "missing"})

Path = tuple[str | int, ...]
# What a step of this title in the JSON Schema names.
STEPS = {"Step": "driver", "Fault": "fault driver"}
Sentence = tuple[str, str]


def format_path(path: Sequence[str | int]) -> str:
    """For example `spec.phases[0].actions[1].do.http.method`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


@dataclass(frozen=True, slots=True)
class Misfit:
    """A problem and its node, whose variables may be the cause."""

    problem: Problem
    node: Node


def explain_errors(
    errors: Sequence[Any], root: Node, schema: Mapping[str, Any], *, excuse_templates: bool
) -> list[Misfit]:
    """A Misfit for each of pydantic's errors.

    With `excuse_templates`, values with variables are skipped: they are checked once the variables are filled
    in. Values with secrets are always skipped: they are checked when the step runs.
    """
    found = []
    excused = is_templated if excuse_templates else has_late_reference
    hints_left = _MAX_HINTS
    for error in errors:
        path, key, node = _locate(error, root)
        is_filled_in = path[:1] == ("spec",) and path[1:2] and path[1] in TEMPLATED_PARTS
        if is_filled_in and error["type"] not in _COLLECTION_ERRORS | _KEY_ERRORS and excused(node.value):
            continue
        if error["type"] == "extra_forbidden":
            message, hint = _explain_unknown(path, schema, hinted=hints_left > 0)
            hints_left -= 1
        else:
            message, hint = _explain(error, path)
            hint = _find_beside(error, root) or hint
        place = key if key is not None and error["type"] in _KEY_ERRORS else node
        found.append(Misfit(Problem(place.line, place.column, format_path(path), message, hint), node))
    return found


def _locate(error: Any, root: Node) -> tuple[Path, Node | None, Node]:
    """The path, the node of the key if there is one, and the node itself (for a missing key, its mapping)."""
    path: Path = ()
    key, node = None, root
    for part in error["loc"]:
        if isinstance(node.value, dict) and part in node.value:
            key, node = node.keys[part], node.value[part]
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            key, node = None, node.value[part]
        elif error["type"] != "missing" or part != error["loc"][-1]:
            continue  # a union's member or a validator's name, which only pydantic knows
        path = (*path, part)
    return path, key, node


def _find_beside(error: Any, root: Node) -> str:
    """A hint with the line of the value that contradicts this one."""
    context = error.get("ctx", {})
    if not context.get("beside"):
        return ""
    around = error["loc"][: len(error["loc"]) - context["depth"]]
    _, key, node = _locate({**error, "loc": (*around, *context["beside"])}, root)
    return f"{format_value(context['beside'][-1])} is in line {(key or node).line}"


def _explain_unknown(path: Path, schema: Mapping[str, Any], *, hinted: bool) -> Sentence:
    name = str(path[-1])
    title, words = find_words(schema, path[:-1])
    if name == "sensitive" and len(path) > 1 and _is_step(schema, path[:-2]):
        return explain_misplaced_sensitive(str(path[-2]))
    if title in STEPS:
        return _explain_unknown_driver(name, title, words, schema, hinted=hinted)
    allowed = ", ".join(words)
    message = f"unknown key {format_value(name)} in {_describe_owner(path[:-1])}; allowed: {allowed}"
    return message, suggest(name, words) if hinted else ""


def _explain_unknown_driver(
    name: str, title: str, words: list[str], schema: Mapping[str, Any], *, hinted: bool
) -> Sentence:
    words = [word for word in words if word != "sensitive"]
    known = ", ".join(words) or "none, because no driver is installed"
    message = f"unknown {STEPS[title]} {format_value(name)}; choose one of {known}"
    if title == "Step" and name in schema["$defs"]["Fault"]["properties"]:
        return message, f"write it under 'fault', because {name!r} is a fault driver"
    if title == "Fault" and name in schema["$defs"]["Step"]["properties"]:
        return message, f"write it under 'do', because {name!r} injects no fault by itself"
    return message, suggest(name, words) if hinted else ""


def _is_step(schema: Mapping[str, Any], path: Path) -> bool:
    return find_words(schema, path)[0] in STEPS


def _describe_owner(path: Path) -> str:
    if not path:
        return "the document"
    if isinstance(path[-1], int):
        return repr(format_path(path[-2:]))
    return format_value(path[-1])


def _explain(error: Any, path: Path) -> Sentence:
    value, context = error["input"], error.get("ctx", {})
    if error["type"] == "missing":
        return f"{format_value(path[-1])} is missing from {_describe_owner(path[:-1])}", "add it"
    if error["type"] == "value_error":
        return str(context["error"]), ""
    if error["type"] == "literal_error":
        return _explain_choice(value, context["expected"])
    if error["type"] in _NOT_A:
        what, hint = _NOT_A[error["type"]]
        return f"{describe_value(value)} is not {what}", hint
    if error["type"] in _RULES:
        return f"{describe_value(value)} is not allowed: it must {_RULES[error['type']](context)}", ""
    # The declarations of a site's own drivers may use any of pydantic's errors.
    sentence = str(context.get("sentence") or error["msg"])
    return sentence.replace("Input should", f"{describe_value(value)} should"), str(context.get("hint", ""))


def _explain_choice(value: Any, expected: str) -> Sentence:
    choices = _QUOTED.findall(expected) or [expected]
    listed = ", ".join(map(repr, choices))
    rule = f": it must be {listed}" if len(choices) == 1 else f"; choose one of {listed}"
    return f"{describe_value(value)} is not allowed{rule}", suggest(value, choices) if isinstance(
        value, str
    ) else ""


def describe_value(value: Any) -> str:
    if isinstance(value, dict):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    return format_value(value)


def _pluralize_entries(count: int) -> str:
    return "entry" if count == 1 else "entries"


_MAPPING = ("a mapping", "write 'key: value' lines below it")
_LIST = ("a list", "begin each entry with '- '")
_TEXT = ("text", "put it in quotes")
_WHOLE = ("a whole number", "write it without quotes, for example 5")
_NUMBER = ("a number", "write it without quotes, for example 0.5")
_TRUTH = ("true or false", "write true or false, without quotes")
_NOT_A: Mapping[str, Sentence] = {
    **dict.fromkeys(("model_type", "dict_type", "model_attributes_type", "mapping_type"), _MAPPING),
    **dict.fromkeys(("list_type", "tuple_type", "set_type"), _LIST),
    **dict.fromkeys(("string_type", "string_sub_type"), _TEXT),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), _WHOLE),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _TRUTH),
}
_RULES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "greater_than_equal": lambda limit: f"be at least {limit['ge']}",
    "greater_than": lambda limit: f"be above {limit['gt']}",
    "less_than_equal": lambda limit: f"be at most {limit['le']}",
    "less_than": lambda limit: f"be below {limit['lt']}",
    "too_short": lambda limit: (
        f"have at least {limit['min_length']} {_pluralize_entries(limit['min_length'])}"
    ),
    "too_long": lambda limit: f"have at most {limit['max_length']} entries",
    "string_too_short": lambda limit: f"have at least {limit['min_length']} characters",
    "string_too_long": lambda limit: f"have at most {limit['max_length']} characters",
    "string_pattern_mismatch": lambda limit: f"match the pattern {limit['pattern']!r}",
}
