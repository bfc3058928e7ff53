"""The limits of documents, which keep reading them fast."""

import time

import pytest

from scenarios.domain.errors import InvalidVariables
from scenarios.domain.expectations import Expectations
from tests.unit.scenarios.language.documents import WAIT, Drivers, Problems, WithSpec, make_plan


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", "(a?){60}a{60}", "(.*)(.*)(.*)(.*)(.*)b"])
def test_expensive_regular_expressions_are_refused(
    pattern: str, with_spec: WithSpec, problems: Problems
) -> None:
    started = time.process_time()
    text = "a" * 9_999
    spec = f"variables: {{v: {{type: string, pattern: '{pattern}', default: {text}}}}}\n{WAIT}"
    problems(with_spec(spec))
    Expectations({"body": {"matches": pattern}}).check({"body": text * 6 + "!"})
    assert time.process_time() - started < 10


def test_more_than_1000_steps_are_refused_even_with_aliases(problems: Problems, with_spec: WithSpec) -> None:
    actions = ", ".join(f"{{name: a{index}, do: {{wait: {{duration: 1s}}}}}}" for index in range(501))
    spec = f"phases:\n- name: p\n  actions: &many [{actions}]\n- name: q\n  actions: *many\n"
    (problem,) = problems(with_spec(spec))
    assert "more than 1000 steps" in problem.message


def test_more_than_1000_entries_of_one_collection_are_refused(
    problems: Problems, with_spec: WithSpec
) -> None:
    def declared(count: int) -> str:
        variables = "".join(f"  v{index}: {{type: integer, default: 1}}\n" for index in range(count))
        return with_spec(f"variables:\n{variables}{WAIT}")

    assert problems(declared(1_000)) == ()
    (problem,) = problems(declared(1_001))
    assert (problem.line, problem.message) == (
        1_006,
        "this is entry 1001 of a collection; the limit is 1000",
    )


def test_more_than_100_different_patterns_and_paths_are_refused(
    problems: Problems, with_spec: WithSpec
) -> None:
    def checked(count: int) -> str:
        paths = ", ".join(f'"$.a{index}": {{matches: same}}' for index in range(count))
        check = f"{{name: v, probe: {{http: {{service: s}}}}, expect: {{json: {{{paths}}}}}}}"
        return with_spec(f"phases: [{{name: p, validations: [{check}]}}]")

    assert problems(checked(99)) == ()
    (problem,) = problems(checked(100))
    assert "more than 100 different regular expressions and JSONPaths" in problem.message


BURSTING = """
variables: {{long: {{type: string, default: {default}}}}}
phases: [{{name: p, description: "{references}"}}]
"""


def test_variables_that_would_make_the_document_too_large_are_refused(
    problems: Problems, with_spec: WithSpec, drivers: Drivers
) -> None:
    many = "${long}" * 1_000
    (problem,) = problems(with_spec(BURSTING.format(default="x" * 1_000, references=many)))
    assert (problem.line, problem.path) == (5, "spec.variables.long")
    assert "'long' has 1000 characters: with it, the document would be longer than" in problem.message
    with pytest.raises(InvalidVariables, match="'long' has 9000 characters"):
        make_plan(BURSTING.format(default="x", references=many), {"long": "x" * 9_000}, with_spec, drivers)
