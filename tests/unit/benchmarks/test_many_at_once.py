"""Who began before whom, as the benchmark counts it."""

import ast
import importlib

import pytest

from benchmarks.many_at_once import (
    Ended,
    count_most_at_once,
    count_overlaps,
    count_overtaken,
    count_overtaken_on_service,
    find_longest_idle,
    program,
)

IN_ORDER = [
    Ended("a", 0, 10, 20),
    Ended("b", 1, 10, 30),
    Ended("c", 2, 11, 21),
    Ended("a", 3, 21, 25),
    Ended("d", 4, 21.5, 26),
]


def test_runs_in_order_are_none_of_what_is_counted() -> None:
    assert count_most_at_once(IN_ORDER) == 3
    assert count_overlaps(IN_ORDER) == 0
    assert count_overtaken_on_service(IN_ORDER) == 0
    assert count_overtaken(IN_ORDER) == 0
    assert find_longest_idle(IN_ORDER) == pytest.approx(1.0)


def test_two_on_one_service_at_once_are_counted() -> None:
    assert count_overlaps([Ended("a", 0, 10, 20), Ended("a", 1, 19, 25)]) == 1


def test_a_run_that_begins_after_a_later_one_of_its_service_is_counted() -> None:
    rows = [Ended("a", 0, 30, 40), Ended("a", 1, 10, 20), Ended("a", 2, 20, 30)]
    assert count_overtaken_on_service(rows) == 1


def test_run_that_could_have_started_is_counted_once() -> None:
    later = [Ended("b", 1, 10, 20), Ended("c", 2, 11, 20)]
    assert count_overtaken([Ended("a", 0, 25, 30), *later]) == 1


def test_a_run_whose_service_is_busy_is_not_overtaken() -> None:
    rows = [Ended("a", 0, 10, 20), Ended("a", 1, 20.5, 25), Ended("b", 2, 11, 12)]
    assert count_overtaken(rows) == 0


def test_a_free_place_counts_only_beside_a_run_that_could_begin() -> None:
    busy = [Ended("a", 0, 10, 20), Ended("a", 1, 20, 30)]
    assert find_longest_idle([*busy, Ended("b", 2, 10, 12)]) == 0
    assert find_longest_idle([*busy, Ended("b", 2, 10, 12), Ended("c", 3, 17, 20)]) == pytest.approx(5.0)


def test_the_program_that_is_handed_to_the_installation_names_what_is_there() -> None:
    tree = ast.parse(program())
    modules = {
        alias.name: importlib.import_module(f"{node.module}.{alias.name}")
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.name in {"readiness", "commands", "planned_rows"}
    }
    modules["run_commands"] = modules.pop("commands")
    named = [
        (node.value.id, node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    ]
    assert len(named) > 5
    assert [name for name in named if not hasattr(modules[name[0]], name[1])] == []
