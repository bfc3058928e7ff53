"""The JSON Schema matches the declarations."""

from collections.abc import Mapping
from typing import Any

import pytest
from pydantic import BaseModel

from scenarios.language.schema import json_schema


@pytest.fixture(scope="module")
def definitions(drivers: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    found: dict[str, Any] = json_schema(drivers)["$defs"]
    return found


def references(schema: Any) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["$ref"]} if "$ref" in schema else set()
        return own.union(*map(references, schema.values()))
    return set().union(*map(references, schema)) if isinstance(schema, list) else set()


def test_a_step_has_exactly_one_of_the_installed_drivers(definitions: dict[str, Any]) -> None:
    step = definitions["Step"]
    assert set(step["properties"]) == {"http", "tcp", "wait", "sensitive"}
    assert step["oneOf"] == [{"required": [driver]} for driver in ("http", "tcp", "wait")]
    assert step["additionalProperties"] is False


def test_schema_refuses_unknown_keys(definitions: dict[str, Any]) -> None:
    fixed = {name for name, part in definitions.items() if part.get("additionalProperties") is False}
    assert {"Action", "Guard", "HttpArguments", "Matchers", "Metadata", "Phase", "Spec", "Variable"} <= fixed


@pytest.mark.parametrize(
    ("declaration", "word"),
    [("TcpArguments", "port"), ("Phase", "hold"), ("Validation", "every"), ("Matchers", "above")],
)
def test_schema_accepts_templates_for_values_other_than_text(
    definitions: dict[str, Any], declaration: str, word: str
) -> None:
    assert {"$ref": "#/$defs/Template"} in definitions[declaration]["properties"][word]["anyOf"]


def test_schema_refuses_templates_where_nothing_is_filled_in(definitions: dict[str, Any]) -> None:
    assert references([definitions["Metadata"], definitions["Variable"]]) == set()


def test_every_reference_in_the_schema_resolves(drivers: Mapping[str, type[BaseModel]]) -> None:
    schema = json_schema(drivers)
    known = {f"#/$defs/{name}" for name in schema["$defs"]}
    assert references(schema) <= known


KEYWORDS = {
    *("allOf", "if", "not", "then", "oneOf"),
    *("$defs", "$ref", "$schema", "additionalProperties", "anyOf", "const", "default", "description", "enum"),
    "exclusiveMinimum",
    *("examples", "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength"),
    *("minProperties", "minimum", "pattern", "properties", "propertyNames", "required", "title", "type"),
}


def keywords(schema: Any) -> set[str]:
    if not isinstance(schema, dict):
        return set().union(*map(keywords, schema)) if isinstance(schema, list) else set()
    inner = [part for word, part in schema.items() if word not in {"properties", "$defs", "default"}]
    named = [*schema.get("properties", {}).values(), *schema.get("$defs", {}).values()]
    return set(schema).union(*map(keywords, [*inner, *named]))


def test_every_keyword_is_defined_by_json_schema(drivers: Mapping[str, type[BaseModel]]) -> None:
    assert keywords(json_schema(drivers)) <= KEYWORDS


def test_the_limits_of_numbers_are_in_the_schema(definitions: dict[str, Any]) -> None:
    port = definitions["TcpArguments"]["properties"]["port"]["anyOf"][0]
    assert (port["minimum"], port["maximum"]) == (1, 65535)
    assert definitions["Guard"]["properties"]["tolerate"]["anyOf"][0]["minimum"] == 0
