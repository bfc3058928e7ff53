"""The JSON Schema and the validator agree on the structure of generated documents."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.templates import is_templated
from scenarios.language.document import parse_document
from scenarios.language.words import scenario_model
from tests.unit.scenarios.language.generated_documents import DOCUMENTS, DRIVERS, JSON, JUDGE, SCHEMA, SITE

# Hypothesis writes out the strategies for its own use, which takes less than a second.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")
SLOW = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    max_examples=150,
    deadline=None,
)

# What they are made of, changed

KEYS = ["name", "spec", "phases", "do", "probe", "http", "tcp", "timeout", "json", "above", "stranger"]
KEYS += ["status", "value", "connected", "matches", "contains", "all", "count", "sensitive"]
STRANGE: st.SearchStrategy[Any] = JSON | st.sampled_from(
    [[], {}, "", 0, -1, 1.5, 2.0, "5", "0s", "5s", True, None, 99999, "x" * 300]
)


# Beyond every limit there is: of numbers, and of texts.
EXTREMES = ([-1, 0, 0.5, 2**40, 200.0], ["", "x" * 300, "x" * 20_000, "5"])


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Each collection in the tree with each of its keys or indices."""
    for key in [*tree] if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ():
        yield tree, key
        yield from places(tree[key])


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """A valid document in which one to three things were changed: removed, added, renamed or replaced."""
    document: dict[str, Any] = copy.deepcopy(draw(DOCUMENTS))
    for _ in range(draw(st.integers(1, 3))):
        all_places = list(places(document)) or [(document, "kind")]
        where, key = draw(st.sampled_from(all_places))
        change = draw(st.sampled_from(["remove", "add", "rename", "replace", "exceed"]))
        if change == "exceed":
            limited = [place for place in all_places if isinstance(place[0][place[1]], str | int | float)]
            where, key = draw(st.sampled_from(limited or all_places))
            where[key] = draw(st.sampled_from(EXTREMES[type(where[key]) is str]))
        elif change == "remove":
            del where[key]
        elif change == "replace" or isinstance(where, list):
            where[key] = draw(STRANGE)
        else:
            where[draw(st.sampled_from(KEYS))] = where.pop(key) if change == "rename" else draw(STRANGE)
    return document


# Kinds of mistakes that are not of structure: rules between keys, names that must lead somewhere,
# texts in a language of their own (JSONPath, regular expressions, URLs).
BEYOND_STRUCTURE = {"relation", "value_error"}


def mistakes_of_structure(document: Any) -> list[str]:
    try:
        scenario_model(DRIVERS).model_validate(document)
    except ValidationError as error:
        return [
            f"{detail['type']} at {detail['loc']}: {detail['input']!r}"
            for detail in error.errors(include_url=False)
            if detail["type"] not in BEYOND_STRUCTURE and not is_templated(detail["input"])
        ]
    return []


def problems(document: Any) -> str:
    try:
        parse_document(json.dumps(document), DRIVERS)
    except InvalidDocument as refusal:
        return str(refusal)
    return ""


def misses(document: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:300]}" for error in JUDGE.iter_errors(document)]


def test_schema_is_valid_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@SLOW
@given(DOCUMENTS)
@override_settings(**SITE)
def test_schema_accepts_what_the_validator_accepts(document: dict[str, Any]) -> None:
    if not mistakes_of_structure(document):
        assert misses(document) == []


@SLOW
@given(changed())
@override_settings(**SITE)
def test_validator_refuses_what_the_schema_refuses(document: Any) -> None:
    if refused := misses(document):
        assert problems(document), refused


@SLOW
@given(changed())
@override_settings(**SITE)
def test_schema_refuses_broken_structure(document: Any) -> None:
    if mistakes := mistakes_of_structure(document):
        assert misses(document), mistakes
