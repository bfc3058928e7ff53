"""Typed variables: declarations, and values for a run."""

from typing import Any

import pytest

from scenarios.domain.errors import InvalidVariables
from scenarios.language.variables import Variable, parse_pairs, resolve_values


def declared(**words: Any) -> dict[str, Variable]:
    return {"v": Variable.model_validate(words)}


@pytest.mark.parametrize(
    ("kind", "value", "result"),
    [
        ("string", "5", "5"),
        ("integer", 5, 5),
        ("integer", "5", 5),
        ("number", "0.5", 0.5),
        ("number", 5, 5),
        ("boolean", "true", True),
        ("boolean", False, False),
        ("duration", "1h30m", "1h30m"),
    ],
)
def test_value_may_be_json_or_text_from_the_command_line(kind: str, value: Any, result: Any) -> None:
    given = resolve_values(declared(type=kind), {"v": value})["v"]
    assert (given, type(given)) == (result, type(result))


@pytest.mark.parametrize(
    ("words", "value", "sentence"),
    [
        ({"type": "integer"}, "x", "variable 'v' is 'x', not a whole number"),
        ({"type": "integer"}, True, "is true, not a whole number"),
        ({"type": "integer"}, "5.5", "is 5.5, not a whole number"),
        ({"type": "boolean"}, "yes", "is 'yes', not true or false"),
        ({"type": "string"}, 5, "is 5, not text"),
        ({"type": "string"}, "a\0", "control character"),
        ({"type": "string"}, "x" * 10_001, "at most 10000"),
        ({"type": "duration"}, "5", "not a duration"),
        ({"type": "integer", "min": 1}, 0, "must be at least 1"),
        ({"type": "duration", "max": "1m"}, "1h", "must be at most '1m'"),
        ({"type": "string", "choices": ["a", "b"]}, "c", "one of 'a', 'b'"),
        ({"type": "string", "pattern": "[a-z]+"}, "ab1", "does not match the pattern '[a-z]+'"),
    ],
)
def test_unsuitable_value_is_refused_with_the_rule(words: dict[str, Any], value: Any, sentence: str) -> None:
    with pytest.raises(InvalidVariables) as refusal:
        resolve_values(declared(**words), {"v": value})
    assert sentence in refusal.value.errors["v"]


def test_unknown_missing_and_wrong_values_are_reported_together() -> None:
    variables = {
        "delay": Variable.model_validate({"type": "integer", "default": 1}),
        "host": Variable.model_validate({"type": "string"}),
    }
    with pytest.raises(InvalidVariables) as refusal:
        resolve_values(variables, {"dellay": 5, "delay": "x"})
    assert set(refusal.value.errors) == {"dellay", "delay", "host"}
    assert "did you mean 'delay'?" in refusal.value.errors["dellay"]
    assert "has no default" in refusal.value.errors["host"]


def test_parse_pairs_of_a_command_line() -> None:
    assert parse_pairs(["a=1", "b=x=y", "c="]) == {"a": "1", "b": "x=y", "c": ""}
    with pytest.raises(InvalidVariables, match="'name=value'"):
        parse_pairs(["a"])
