"""The language as JSON Schema, with which editors complete and check documents."""

import inspect
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from pydantic import BaseModel

from scenarios.domain.templates import TEMPLATE_PATTERN
from scenarios.language.action_words import FAULTLESS_WORDS, Action
from scenarios.language.check_words import Guard, Undone, Validation
from scenarios.language.include_words import IncludedPhases
from scenarios.language.load_words import Load, LoadValidation
from scenarios.language.result_schema import add_expectations
from scenarios.language.words import Phase, Scenario, Spec, scenario_model

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Variables are not filled in there, so a template is ordinary text.
_WITHOUT_TEMPLATES = ("Auth", "BasicAuth", "Metadata", "RegressionLimit", "Variable")
_PLAIN_MATCHER = {"type": ["string", "number", "boolean", "null", "array"]}
_MATCHERS = "#/$defs/Matchers"


def json_schema(
    drivers: Mapping[str, type[BaseModel]], faults: Mapping[str, type[BaseModel]] | None = None
) -> dict[str, Any]:
    """JSON Schema (2020-12) of the documents that `parse_document` accepts with these drivers."""
    return {"$schema": _DIALECT, **build_schema(scenario_model(drivers, faults))}


@lru_cache(maxsize=8)
def build_schema(model: type[Scenario[Any, Any]]) -> dict[str, Any]:
    schema = model.model_json_schema()
    _add_load_validations(schema["$defs"])
    _add_included_phases(schema["$defs"])
    definitions = {
        # Pydantic adds the parameter to the name of a parametrised model.
        _strip_parameter(name): _describe(definition, templates=name not in _WITHOUT_TEMPLATES)
        for name, definition in schema["$defs"].items()
    }
    for declaration in (Action, Guard, Load, Phase, Spec, Undone, Validation):
        # Pydantic drops the docstring of a parametrised model.
        definitions[declaration.__name__]["description"] = inspect.getdoc(declaration)
    drivers, faults = _get_drivers(model)
    for name, known in (("Step", drivers), ("Fault", faults)):
        definitions[name] |= {"minProperties": 1}
        if known:
            definitions[name] |= {"oneOf": [{"required": [driver]} for driver in sorted(known)]}
    definitions["Action"]["oneOf"] = [
        {"required": ["do"], "not": {"required": ["fault"]}},
        {"required": ["fault"], "not": {"anyOf": [{"required": [word]} for word in sorted(FAULTLESS_WORDS)]}},
    ]
    for name in (
        "Matchers",
        "Expect",
        "Alternative",
        "LoadExpect",
        "ShareLimits",
        "LatencyLimits",
        "RateLimits",
    ):
        definitions[name] |= {"minProperties": 1}
    definitions["JsonPaths"] |= {"minProperties": 1, "propertyNames": {"pattern": r"^\$"}}
    add_expectations(definitions, drivers)
    definitions["Template"] = {
        "type": "string",
        "pattern": TEMPLATE_PATTERN,
        "description": "A variable, filled in when a run is started. The result is checked then.",
    }
    document = _describe({name: part for name, part in schema.items() if name != "$defs"}, templates=False)
    return document | {"title": "Scenario", "$defs": definitions}


def describe_declarations(model: type[BaseModel], scenario: type[Scenario[Any, Any]]) -> dict[str, Any]:
    """The schema of another document, which shares declarations with scenarios and has no variables."""
    schema = model.model_json_schema()
    shared = build_schema(scenario)["$defs"]
    definitions = {
        _strip_parameter(name): shared.get(_strip_parameter(name)) or _describe(definition, templates=False)
        for name, definition in schema["$defs"].items()
    }
    document = _describe({name: part for name, part in schema.items() if name != "$defs"}, templates=False)
    return document | {"$defs": {**shared, **definitions}}


def _add_included_phases(definitions: dict[str, Any]) -> None:
    """As `_add_load_validations`, for phases with `include`."""
    own = IncludedPhases.model_json_schema()
    definitions |= own.pop("$defs")
    definitions["IncludedPhases"] = own
    spec = next(part for name, part in definitions.items() if _strip_parameter(name) == "Spec")
    items = spec["properties"]["phases"]["items"]
    spec["properties"]["phases"]["items"] = {"anyOf": [items, {"$ref": "#/$defs/IncludedPhases"}]}


def _add_load_validations(definitions: dict[str, Any]) -> None:
    """Pydantic does not know that their declaration takes the place of a validation's with `load`."""
    own = LoadValidation.model_json_schema()
    definitions |= own.pop("$defs")
    definitions["LoadValidation"] = own
    phase = next(part for name, part in definitions.items() if _strip_parameter(name) == "Phase")
    items = phase["properties"]["validations"]["items"]
    phase["properties"]["validations"]["items"] = {"anyOf": [items, {"$ref": "#/$defs/LoadValidation"}]}


def _get_drivers(model: type[Scenario[Any, Any]]) -> list[Mapping[str, type[BaseModel]]]:
    """The models of the arguments of drivers, and of fault drivers, that `scenario_model` has used."""
    return [words.drivers() for words in model.__pydantic_generic_metadata__["args"]]


def _strip_parameter(name: str) -> str:
    return name.removesuffix("_Step_").removesuffix("_Step_Fault_")


def _describe(schema: dict[str, Any], *, templates: bool) -> dict[str, Any]:
    """The schema of one declaration, completed with what pydantic does not know."""
    described = {**schema, "title": _strip_parameter(schema.get("title", "").partition("[")[0])}
    if "properties" in schema:
        described["properties"] = {
            name: _describe_value(part, templates=templates) for name, part in schema["properties"].items()
        }
    if isinstance(extra := schema.get("additionalProperties"), dict):
        described["additionalProperties"] = _describe_value(extra, templates=templates)
    return described


def _describe_value(schema: dict[str, Any], *, templates: bool) -> dict[str, Any]:
    # A default of null means that there is no default, and generated titles only repeat the key.
    kept = {
        word: part
        for word, part in schema.items()
        if word != "title" and not (word == "default" and part in (None, [], {}))
    }
    if reference := kept.get("$ref"):
        reference = _strip_parameter(reference)
        kept["$ref"] = reference
        return {"anyOf": [_PLAIN_MATCHER, kept]} if reference == _MATCHERS else kept
    for word in ("items", "additionalProperties"):
        if isinstance(kept.get(word), dict):
            kept[word] = _describe_value(kept[word], templates=templates)
    if "anyOf" in kept:
        kept["anyOf"] = [_describe_value(part, templates=templates) for part in kept["anyOf"]]
    if templates and _is_closed_scalar(kept):
        return {"anyOf": [kept, {"$ref": "#/$defs/Template"}]}
    return kept


def _is_closed_scalar(schema: Mapping[str, Any]) -> bool:
    """Whether the schema would refuse '${variable}', which becomes a valid value only later."""
    return schema.get("type") in ("integer", "number", "boolean") or any(
        word in schema for word in ("enum", "const", "pattern", "format", "maxLength")
    )


def find_words(schema: Mapping[str, Any], path: tuple[str | int, ...]) -> tuple[str, list[str]]:
    """The title of the declaration at this path, and its keys."""
    found = schema
    for part in path:
        found = _resolve(found, schema, part)
        if isinstance(part, int):
            found = found.get("items", {})
        else:
            found = found.get("properties", {}).get(part) or _get_extra(found)
    found = _resolve(found, schema)
    return found.get("title", ""), list(found.get("properties", {}))


def _get_extra(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    part = schema.get("additionalProperties")
    return part if isinstance(part, dict) else {}


def _resolve(schema: Mapping[str, Any], root: Mapping[str, Any], word: object = None) -> Mapping[str, Any]:
    """The declaration that the schema refers to; of several, the first one that has the word."""
    references = (part["$ref"] for part in _list_alternatives(schema) if "$ref" in part)
    declared = [root["$defs"][reference.rpartition("/")[2]] for reference in references]
    declared = [part for part in declared if "properties" in part or "additionalProperties" in part]
    fitting = (part for part in declared if word in part.get("properties", {}))
    return next(fitting, declared[0] if declared else schema)


def _list_alternatives(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield schema
    yield from schema.get("anyOf", ())
