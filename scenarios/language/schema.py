"""The language as JSON Schema, for editors that complete and check while typing."""

import inspect
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from scenarios.domain.templates import TEMPLATE_PATTERN
from scenarios.language.schema_of_results import expect_by_driver
from scenarios.language.words import Action, Guard, Phase, Scenario, Spec, Undone, Validation, scenario_model

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Where nothing is substituted, a template is text like any other.
_WITHOUT_TEMPLATES = ("Metadata", "Variable")
_PLAIN_MATCHER = {"type": ["string", "number", "boolean", "null", "array"]}
_MATCHERS = "#/$defs/Matchers"


def json_schema(drivers: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """JSON Schema (2020-12) of the documents that `parse_document` takes with these drivers."""
    return {"$schema": _DIALECT, **schema_of(scenario_model(drivers))}


@lru_cache(maxsize=8)
def schema_of(model: type[Scenario[Any]]) -> dict[str, Any]:
    schema = model.model_json_schema()
    definitions = {
        # Pydantic names a parametrised model after its parameter.
        _own_name(name): _described(definition, templates=name not in _WITHOUT_TEMPLATES)
        for name, definition in schema["$defs"].items()
    }
    for declaration in (Action, Guard, Phase, Spec, Undone, Validation):
        # Pydantic forgets the docstring of a model once it is parametrised.
        definitions[declaration.__name__]["description"] = inspect.getdoc(declaration)
    definitions["Step"] |= {"minProperties": 1}
    if drivers := _drivers_of(model):
        definitions["Step"] |= {"oneOf": [{"required": [name]} for name in sorted(drivers)]}
    definitions["Matchers"] |= {"minProperties": 1}
    definitions["Expect"] |= {"minProperties": 1}
    definitions["JsonPaths"] |= {"minProperties": 1, "propertyNames": {"pattern": r"^\$"}}
    expect_by_driver(definitions, drivers)
    definitions["Template"] = {
        "type": "string",
        "pattern": TEMPLATE_PATTERN,
        "description": "A variable, filled in when a run is started; the result is checked then.",
    }
    document = _described({name: part for name, part in schema.items() if name != "$defs"}, templates=False)
    return document | {"title": "Scenario", "$defs": definitions}


def _drivers_of(model: type[Scenario[Any]]) -> Mapping[str, type[BaseModel]]:
    """The drivers' arguments, as `scenario_model` has put them in."""
    (step,) = model.__pydantic_generic_metadata__["args"]
    drivers: Mapping[str, type[BaseModel]] = step.drivers()
    return drivers


def _own_name(name: str) -> str:
    return name.removesuffix("_Step_")


def _described(schema: dict[str, Any], *, templates: bool) -> dict[str, Any]:
    """The schema of one declaration, with what pydantic cannot know."""
    described = {**schema, "title": _own_name(schema.get("title", "").replace("[Step]", ""))}
    if "properties" in schema:
        described["properties"] = {
            name: _value(part, templates=templates) for name, part in schema["properties"].items()
        }
    if isinstance(extra := schema.get("additionalProperties"), dict):
        described["additionalProperties"] = _value(extra, templates=templates)
    return described


def _value(schema: dict[str, Any], *, templates: bool) -> dict[str, Any]:
    # A default of null means that there is none, and generated titles only repeat the key.
    kept = {
        word: part
        for word, part in schema.items()
        if word != "title" and not (word == "default" and part in (None, [], {}))
    }
    if reference := kept.get("$ref"):
        reference = reference.removesuffix("_Step_")
        kept["$ref"] = reference
        return {"anyOf": [_PLAIN_MATCHER, kept]} if reference == _MATCHERS else kept
    for word in ("items", "additionalProperties"):
        if isinstance(kept.get(word), dict):
            kept[word] = _value(kept[word], templates=templates)
    if "anyOf" in kept:
        kept["anyOf"] = [_value(part, templates=templates) for part in kept["anyOf"]]
    if templates and _is_closed_scalar(kept):
        return {"anyOf": [kept, {"$ref": "#/$defs/Template"}]}
    return kept


def _is_closed_scalar(schema: Mapping[str, Any]) -> bool:
    """Whether it would refuse '${variable}', which becomes a fitting value only later."""
    return schema.get("type") in ("integer", "number", "boolean") or any(
        word in schema for word in ("enum", "const", "pattern", "format", "maxLength")
    )


def words_at(schema: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[str, list[str]]:
    """The title of the declaration at this path, and the keys that it takes."""
    found = schema
    for part in path:
        found = _resolved(found, schema)
        if isinstance(part, int):
            found = found.get("items", {})
        else:
            found = found.get("properties", {}).get(part) or _open_part(found)
    found = _resolved(found, schema)
    return found.get("title", ""), list(found.get("properties", {}))


def _open_part(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    part = schema.get("additionalProperties")
    return part if isinstance(part, dict) else {}


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Mapping[str, Any]:
    for candidate in _alternatives(schema):
        if reference := candidate.get("$ref"):
            found: Mapping[str, Any] = root["$defs"][reference.rpartition("/")[2]]
            if "properties" in found or "additionalProperties" in found:
                return found
    return schema


def _alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    yield from schema.get("anyOf", ())
