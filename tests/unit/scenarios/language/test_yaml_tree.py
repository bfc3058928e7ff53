"""Parsing text into trees with line and column."""

import gc
import json
import time
from typing import Any

import pytest

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.language.yaml_tree import read_tree

FULL = 256 * 1024


def refused(source: str | bytes) -> Problem:
    with pytest.raises(InvalidDocument) as refusal:
        read_tree(source)
    return refusal.value.problems[0]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2026-11-23", "2026-11-23"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("12", 12),
        ("0o14", 12),
        ("0xff", 255),
        ("010", 10),
        ("1.5e3", 1500.0),
        (".5", 0.5),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("!!float 5", 5.0),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: Any) -> None:
    plain = read_tree(f"a: {text}").plain()["a"]
    assert (plain, type(plain)) == (value, type(value))


def test_every_key_and_value_knows_its_line_and_column() -> None:
    tree = read_tree("é: 1\nlist:\n  - {b: 😀, c: 2}\n")
    inner = tree.value["list"].value[0]
    assert (tree.keys["list"].line, tree.keys["list"].column) == (2, 1)
    assert (inner.keys["c"].line, inner.keys["c"].column) == (3, 12)
    assert (inner.value["c"].line, inner.value["c"].column) == (3, 15)


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_json_is_parsed_with_tabs_and_surrogate_pairs(indent: Any) -> None:
    document = {"a": [1, 2.5, True, None, "x\t😀\\u", {"b": "/"}], "c": {}}
    assert read_tree(json.dumps(document, indent=indent)).plain() == document


def test_key_is_its_text() -> None:
    assert read_tree("on: 1\n1: 2\ntrue: 3\n").plain() == {"on": 1, "1": 2, "true": 3}


def test_an_alias_within_the_limits_is_expanded() -> None:
    assert read_tree("a: &x {b: 1}\nc: [*x, *x]\n").plain() == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


@pytest.mark.parametrize(
    ("source", "line", "column", "words"),
    [
        ("a: 1\nb: [\n", 2, 5, "not YAML"),
        ("a: b: c", 1, 5, "not YAML"),
        ("a:\n\tb: 1\n", 2, 1, "a tab"),
        ("a: 1\n---\nb: 2\n", 2, 1, "second document"),
        ("a: 1\nb: 2\na: 3\n", 3, 1, "duplicate key 'a'"),
        ("a: 1\nb: {c: 1, c: 2}\n", 2, 11, "duplicate key 'c'"),
        ("a: !!python/object:os.system x\n", 1, 4, "!!python/object:os.system"),
        ("a: !mine x\n", 1, 4, "'!mine'"),
        ("a: !!set {x}\n", 1, 4, "'!!set'"),
        ("%TAG ! tag:x\n---\na: 1\n", 1, 1, "%TAG"),
        ("a: *missing\n", 1, 4, "has no anchor"),
        ("a: &x [*x]\n", 1, 8, "inside the node that it refers to"),
        ("a: 1\nb: \x00\n", 2, 4, "NUL"),
        ("a: 1\nb: \x1b[31m\n", 2, 4, r"'\x1b'"),
        ('a: "\\0"\n', 1, 4, "control character"),
        ('a: "\\e"\n', 1, 4, "control character"),
        (b"a: 1\nb: \xff\n", 2, 4, "UTF-8"),
        ("a: 1\nb: \ud800\n", 2, 4, "control character"),
        ("? [x]\n: 1\n", 1, 3, "a key must be text"),
        ("a: .nan\n", 1, 4, "JSON"),
        ("a: 1e999\n", 1, 4, "too large"),
        ("a: " + "9" * 30, 1, 4, "64 bits"),
        ("a: !!int x", 1, 4, "'!!int'"),
        ("", 1, 1, "empty"),
        ("# nothing\n", 1, 1, "empty"),
    ],
)
def test_invalid_text_is_refused_at_its_line_and_column(
    source: str | bytes, line: int, column: int, words: str
) -> None:
    problem = refused(source)
    assert (problem.line, problem.column) == (line, column)
    assert words in problem.message


def test_all_duplicate_keys_and_tags_are_reported_together() -> None:
    with pytest.raises(InvalidDocument) as refusal:
        read_tree("a: 1\na: !x 2\nb: .inf\na: 3\n")
    assert [problem.line for problem in refusal.value.problems] == [2, 2, 3, 4]


BOMBS = {
    "more than 256 KiB": "a: " + "x" * FULL,
    "nesting of brackets over 32 deep": "[" * FULL,
    "nesting of braces over 32 deep": "{" * FULL,
    "nesting of dashes over 32 deep": "- " * (FULL // 2),
    "nesting of questions over 32 deep": "? " * (FULL // 2),
    "nesting with entries over 32 deep": "[a," * (FULL // 3),
    "nesting by indentation": "".join(" " * depth + "a:\n" for depth in range(700)),
    "nesting by aliases": "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 40)),
    "aliases that double twenty times": "a0: &a0 [x, x]\n"
    + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 21)),
    "aliases of a long text": f"a: &a {'x' * 60_000}\nb: [*a, *a, *a, *a, *a]\n",
    "more values than any scenario has": "[" + "a," * (FULL // 2 - 1) + "]",
    "more keys than any scenario has": "\n".join(f"k{i}: 1" for i in range(FULL // 10)),
    "an unclosed text of escaped quotes": '{"' + '\\"' * (FULL // 2 - 2),
    "tag directives": "".join(f"%TAG !a{i}! tag:x\n" for i in range(FULL // 18)) + "---\na",
}


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_document_over_the_limits_is_refused_before_expansion(bomb: str) -> None:
    def seconds() -> float:
        started = time.process_time()
        assert refused(bomb).line >= 1
        return time.process_time() - started

    # Of five, the best, and without the garbage of the tests before: the machine may be busy.
    gc.collect()
    gc.freeze()
    try:
        assert (
            min(seconds() for _ in range(5)) < 1
        )  # the goal of 0.1 s is held by benchmarks/validate_document.py
    finally:
        gc.unfreeze()
