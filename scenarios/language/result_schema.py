"""The allowed expectations for each driver's fields as JSON Schema; the same rules as in results.py.

`Expect` lists the fields of all drivers, for completion in editors. Validations, guards and actions restrict
fields and matchers further by the driver of their step.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from scenarios.domain.expectations import ANY_OF
from scenarios.domain.matchers import READ_AS
from scenarios.domain.results import (
    ANY,
    NUMBER,
    TEXT,
    WHOLE_NUMBER,
    Field,
    Kind,
    accepts_matcher,
    read_returned_fields,
)

Schema = dict[str, Any]
_TEMPLATE = {"$ref": "#/$defs/Template"}
_MATCHERS = {"$ref": "#/$defs/Matchers"}
_LITERAL = {"type": ["string", "number", "boolean", "null", "array"]}


def add_expectations(definitions: dict[str, Any], drivers: Mapping[str, type[BaseModel]]) -> None:
    """Add the expectations to the definitions of the schema."""
    writer = _Writer(definitions)
    count = writer.wanted(WHOLE_NUMBER)
    definitions["Matchers"]["properties"]["count"] |= count
    definitions["Matchers"]["properties"]["count"].pop("$ref", None)
    expect = definitions["Expect"]
    alternative = definitions["Alternative"]
    for definition in (expect, alternative):
        definition["properties"]["headers"]["additionalProperties"] = writer.wanted(TEXT)
    declared_by: dict[str, Schema] = {}
    for driver, fields in sorted(_list_declared(drivers)):
        name = f"ExpectOf_{driver}"
        properties = {field: writer.field(field, declared) for field, declared in fields.items()}
        closed = {"type": "object", "minProperties": 1, "additionalProperties": False}
        definitions[f"Alternative{name}"] = {
            "title": f"Alternative of {driver}",
            **closed,
            "properties": properties,
        }
        several = {"type": "array", "minItems": 1, "items": {"$ref": f"#/$defs/Alternative{name}"}}
        definitions[name] = {
            "title": f"Expect of {driver}",
            **closed,
            "properties": {**properties, ANY_OF: several},
        }
        declared_by[driver] = {"$ref": f"#/$defs/{name}"}
        for field, declared in fields.items():
            about = {"description": f"{declared.description} Returned by {driver}."}
            for definition in (expect, alternative):
                definition["properties"].setdefault(field, {"anyOf": [_LITERAL, _MATCHERS]} | about)
    for owner, step in (("Action", "do"), ("Validation", "probe"), ("Guard", "probe")):
        definitions[owner]["allOf"] = [
            _build_condition(step, *condition) for condition in declared_by.items()
        ]


def _list_declared(drivers: Mapping[str, type[BaseModel]]) -> Iterator[tuple[str, Mapping[str, Field]]]:
    for driver, arguments in drivers.items():
        if (fields := read_returned_fields(arguments)) is not None:
            yield driver, fields


def _build_condition(step: str, driver: str, expect: Schema) -> Schema:
    named = {"type": "object", "required": [driver]}
    return {
        "if": {"required": [step], "properties": {step: named}},
        "then": {"properties": {"expect": expect}},
    }


class _Writer:
    def __init__(self, definitions: dict[str, Any]) -> None:
        self._definitions = definitions

    def field(self, name: str, declared: Field) -> Schema:
        if name in {"json", "headers"}:
            own: Schema = self._definitions["Expect"]["properties"][name]
            return {**own, "description": declared.description}
        return {**self.wanted(declared.kind), "description": declared.description}

    def wanted(self, kind: Kind) -> Schema:
        """A plain value of the kind, or matchers for it."""
        if kind == ANY:
            return {"anyOf": [_LITERAL, _MATCHERS]}
        # A mapping always contains matchers; it is never a plain value.
        types = sorted(kind.types - {"object"}) or ["array"]
        plain = [_build_equal(Kind(frozenset(types)))] if kind.types - {"object"} else [_TEMPLATE]
        read = [{"$ref": f"#/$defs/{self._matchers_of_read_numbers()}"}] if kind.may_be("string") else []
        return {"anyOf": [*plain, {"$ref": f"#/$defs/{self._matchers(kind)}"}, *read]}

    def _matchers_of_read_numbers(self) -> str:
        name = "MatchersAsNumber"
        if name not in self._definitions:
            general = self._definitions["Matchers"]["properties"]
            numbers = {
                matcher: self._matcher(matcher, NUMBER, schema)
                for matcher, schema in general.items()
                if accepts_matcher(matcher, NUMBER)
            }
            self._definitions[name] = {
                "title": "Matchers",
                "type": "object",
                "required": [READ_AS],
                "additionalProperties": False,
                "properties": {READ_AS: general[READ_AS], **numbers},
            }
        return name

    def _matchers(self, kind: Kind) -> str:
        name = f"MatchersOf_{_name_kind(kind)}"
        if name not in self._definitions:
            definition: Schema = {"title": "Matchers", "type": "object", "minProperties": 1}
            self._definitions[name] = definition
            general = self._definitions["Matchers"]
            definition["additionalProperties"] = False
            definition["properties"] = {
                matcher: self._matcher(matcher, kind, schema)
                for matcher, schema in general["properties"].items()
                if matcher != READ_AS and accepts_matcher(matcher, kind)
            }
        return name

    def _matcher(self, name: str, kind: Kind, general: Schema) -> Schema:
        if name in {"equals", "not"}:
            return _build_equal(kind)
        if name in {"in", "not_in"}:
            return {"type": "array", "minItems": 1, "items": _build_equal(kind)}
        if name in {"all", "any"}:
            return self.wanted(kind.item_kind)
        if name == "contains" and not kind.may_be("array"):
            return {"type": "string"}
        return general


def _name_kind(kind: Kind) -> str:
    own = "_or_".join(sorted(kind.types)) or "anything"
    if kind.series:
        return f"series_of_{own}"
    return f"{own}_of_{_name_kind(kind.items)}" if kind.items is not None else own


def _build_equal(kind: Kind) -> Schema:
    """Values that may equal a value of the kind; a template may become one."""
    own: Schema = {} if kind == ANY else {"type": sorted(kind.types)}
    return own if kind == ANY or "string" in kind.types else {"anyOf": [own, _TEMPLATE]}
