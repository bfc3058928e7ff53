"""Suites as JSON Schema, with which editors complete and check documents."""

import copy
import inspect
from functools import lru_cache
from typing import Any

from scenarios.domain.declarations import DURATION_SCHEMA
from scenarios.language.schema import describe_declarations
from scenarios.language.words import scenario_model
from scenarios.suites.words import Healthy, Models, SuiteLoad, SuiteSpec, suite_model

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_SECONDS = {"anyOf": [{"type": "number"}, DURATION_SCHEMA]}
_NUMBER_MATCHERS = ["above", "at_least", "at_most", "below", "between", "equals", "in", "not", "not_in"]
# Scenarios have these, suites do not.
_UNUSED = ("Action", "Guard", "Phase", "Spec", "Undone", "Validation", "LoadValidation")


def json_schema(drivers: Models, faults: Models) -> dict[str, Any]:
    """JSON Schema (2020-12) of the suites that `parse_suite` accepts with these drivers."""
    return {"$schema": _DIALECT, **build_schema(drivers, faults)}


def build_schema(drivers: Models, faults: Models) -> dict[str, Any]:
    return _build_schema(tuple(sorted(drivers.items())), tuple(sorted(faults.items())))


@lru_cache(maxsize=8)
def _build_schema(drivers: tuple[Any, ...], faults: tuple[Any, ...]) -> dict[str, Any]:
    models = (dict(drivers), dict(faults))
    schema = copy.deepcopy(describe_declarations(suite_model(*models), scenario_model(*models)))
    definitions = schema["$defs"]
    for declaration in (Healthy, SuiteLoad, SuiteSpec):
        # Pydantic drops the docstring of a parametrised model.
        definitions[declaration.__name__]["description"] = inspect.getdoc(declaration)
    definitions["HealthyExpect"] = _describe_healthy_expect(definitions["Expect"])
    definitions["Healthy"]["properties"]["expect"] = {"$ref": "#/$defs/HealthyExpect"}
    for name in _UNUSED:
        definitions.pop(name, None)
    return schema | {"title": "Suite"}


def _describe_healthy_expect(expect: dict[str, Any]) -> dict[str, Any]:
    """As in scenarios, but with durations for `elapsed`."""
    matchers = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"enum": _NUMBER_MATCHERS},
        "additionalProperties": {"anyOf": [*_SECONDS["anyOf"], {"type": "array", "items": _SECONDS}]},
    }
    elapsed = {"anyOf": [*_SECONDS["anyOf"], matchers], "description": "How long the answer took."}
    return {**expect, "title": "HealthyExpect", "properties": {**expect["properties"], "elapsed": elapsed}}
