"""The reference of the language, written from the declarations: `manage.py language_reference`."""

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from scenarios.domain.durations import DURATION_PATTERN, format_duration
from scenarios.domain.json_queries import MAX_DESCENTS, MAX_NODES
from scenarios.domain.results import read_returned_fields
from scenarios.language.schema import json_schema
from scenarios.language.semantics import MAX_PATTERNS
from scenarios.language.words import MAX_STEPS
from scenarios.language.yaml_tree import MAX_ENTRIES
from scenarios.ports import Driver

_HEAD = f"""# The scenario language, `coordinator/v1`

<!-- Written by `manage.py language_reference --write` from the declarations: change those, not this. -->

A scenario is one document, YAML or JSON. [scenario.schema.json](scenario.schema.json) is its JSON Schema:
with `# yaml-language-server: $schema=…` in the first line, editors complete and check while typing.
`${{variable}}` is filled in inside of values everywhere but in `metadata` and `spec.variables`; a value that
is nothing else keeps the variable's type. `$${{` writes a literal `${{`. In the arguments of a step,
`${{secret:NAME}}` stands for a secret, and is resolved when the step runs; a run that names one which is
missing ends before it breaks anything.

A document has at most 256 KiB, {MAX_STEPS:,} steps, {MAX_ENTRIES:,} entries in one list or mapping, and
{MAX_PATTERNS} different regular expressions and JSONPaths.

A query in `json` that is singular (RFC 9535, 2.3.5.1: names and indexes alone, as `$.nodes[0].name`)
gives the value it selects. Any other gives a list, also of one value and of none: `"$.faults[*].id": []`
says that there is none. `exists` asks whether anything was selected. Where what was returned is not JSON,
nothing under `json` holds, `exists: false` neither. `match()` and `search()` take RE2's
regular expressions with the meaning of RFC 9485. A query has at most {MAX_DESCENTS} `..`; one that would
visit more than {MAX_NODES:,} nodes of an answer ends its validation as errored.

A duration is a number and its unit, or several: `500ms`, `1.5s`, `5m`, `2h`, `1d`, `1h30m`.
"""
_DRIVERS = """## Drivers

A step names one driver, with its arguments under it. `sensitive: true`, beside the driver or among its
arguments, keeps nothing of the answer, neither in the journal nor in reports: only whether it held.

What a driver returns is declared, with its type: an unknown field, and a matcher or a value that never fits
the field, is refused when the document is read; so is a comparison that every number of the field meets, or
none, as `status: {below: 5000}`. A field may be missing from an answer, as `json` where the body is not JSON.
"""
_DECLARATIONS = (
    ("Scenario", "The document"),
    ("Metadata", "`metadata`"),
    ("Spec", "`spec`"),
    ("Variable", "A variable, `spec.variables.NAME`"),
    ("Guard", "A guard, `spec.guards[]`"),
    ("Phase", "A phase, `spec.phases[]`"),
    ("Action", "An action, `spec.phases[].actions[]`"),
    ("Undone", "`undone`, of an action"),
    ("Validation", "A validation, `spec.phases[].validations[]`"),
    ("Expect", "`expect`"),
    ("Matchers", "A matcher; a plain value is `equals`"),
)
_SHOWN_AS = {
    "Expect": "[expectations](#expect)",
    "JsonPaths": "mapping of JSONPaths (RFC 9535) to a value or a matcher",
    "Matchers": "a value or a matcher",
    "Step": "[a step](#drivers)",
    "Undone": "[`undone`](#undone-of-an-action)",
}


def build_reference(drivers: Mapping[str, Driver]) -> str:
    """Markdown: a table for each declaration, and one for each driver."""
    schema = json_schema({name: driver.Arguments for name, driver in drivers.items()})
    definitions = schema["$defs"]
    parts = [_HEAD]
    for name, title in _DECLARATIONS:
        parts += _write_section(f"## {title}", schema if name == "Scenario" else definitions[name])
    parts.append(_DRIVERS)
    for name, driver in sorted(drivers.items()):
        declaration = definitions[driver.Arguments.__name__]
        parts += _write_section(f"### `{name}`", declaration, inspect.getdoc(type(driver)) or "")
        parts += _write_returned(driver.Arguments)
    return "\n".join(parts)


def _write_section(title: str, declaration: Mapping[str, Any], more: str = "") -> Iterator[str]:
    yield f"{title}\n"
    for text in (declaration.get("description"), more):
        if text:
            yield f"{inspect.cleandoc(text)}\n"
    yield "| word | value | default |"
    yield "| --- | --- | --- |"
    required = declaration.get("required", [])
    properties = declaration.get("properties", {})
    if declaration.get("title") == "Expect":
        # The rest are the drivers' fields, each in its driver's section.
        properties = {word: properties[word] for word in ("json", "headers")}
    for word, value in properties.items():
        default = "required" if word in required else _describe_default(value)
        yield f"| `{word}` | {_describe_kind(value)} | {default} |"
    if isinstance(extra := declaration.get("additionalProperties"), dict):
        yield f"| any other | {_describe_kind(extra)}; of the [driver's](#drivers) fields | |"
    yield ""


def _write_returned(arguments: type[BaseModel]) -> Iterator[str]:
    fields = read_returned_fields(arguments)
    if fields is None:
        yield "What it returns is not declared: anything may be expected.\n"
        return
    yield "| returned field | value | |"
    yield "| --- | --- | --- |"
    for name, field in fields.items():
        yield f"| `{name}` | {field.kind if field.kind.types else 'any value'} | {field.description} |"
    yield ""


def _get_own(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is written there, without the template that may stand for it."""
    candidates = schema.get("anyOf", [schema])
    own: Mapping[str, Any] = candidates[-1] if _get_name(candidates[-1]) == "Matchers" else candidates[0]
    return own


def _get_name(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _describe_kind(schema: Mapping[str, Any]) -> str:
    own = _get_own(schema)
    if name := _get_name(own):
        return _SHOWN_AS.get(name, f"`{name.lower()}`")
    if "const" in own or "enum" in own:
        return ", ".join(f"`{choice}`" for choice in own.get("enum", [own.get("const")]))
    if own.get("pattern") == DURATION_PATTERN:
        return "duration"
    if own.get("type") == "array":
        return f"list, each {_describe_kind(own.get('items', {}))}"
    if own.get("type") == "object":
        extra = own.get("additionalProperties")
        return f"mapping of names to {_describe_kind(extra)}" if isinstance(extra, dict) else "mapping"
    kinds = own.get("type", "any value")
    named = " or ".join(kinds) if isinstance(kinds, list) else kinds
    return f"{named}{_describe_limits(own)}"


def _describe_limits(own: Mapping[str, Any]) -> str:
    low, high = own.get("minimum"), own.get("maximum")
    if low is not None and high is not None:
        return f", {low} to {high}"
    if "maxLength" in own:
        return f", at most {own['maxLength']} characters"
    return f", `{own['pattern']}`" if "pattern" in own else ""


def _describe_default(schema: Mapping[str, Any]) -> str:
    default = _get_own(schema).get("default", schema.get("default"))
    if default is None or default == "":
        return ""
    if _describe_kind(schema) == "duration":
        return f"`{format_duration(default)}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"
