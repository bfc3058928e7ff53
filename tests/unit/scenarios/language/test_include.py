"""`include`: the phases of another scenario in the place of a phase."""

from typing import Any

import pytest

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.plan import Plan
from scenarios.language.built_ins import RunFacts
from scenarios.language.document import Document, build_plan, parse_document
from scenarios.language.includes import StoredScenarios
from scenarios.library.dry_run import list_steps
from scenarios.pictures.plan_timeline import plan_timeline
from tests.fakes import TargetCall
from tests.unit.scenarios.language.test_built_ins import RUN

ACT = "do: {target: {say: '%s'}}"
LOGIN = """
  variables: {user: {type: string, default: eve}, thorough: {type: boolean, default: false}}
  guards: [{name: g, probe: {target: {say: guard}}, expect: {status: 200}}]
  phases:
    - {name: log in, actions: [{name: a, do: {target: {say: "login ${user} ${scenario.name}"}}}]}
    - {name: look, when: "${thorough}"}
"""


def parse(name: str, spec: str, **stored: str) -> Document:
    head = f"apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {{name: {name}}}\nspec:\n"
    document = parse_document(head + spec.strip("\n") + "\n", {"target": TargetCall})
    found = {other: parse(other, text) for other, text in stored.items()}
    object.__setattr__(document, "stored", StoredScenarios(found.get, lambda: list(found)))
    return document


def plan(spec: str, run: RunFacts = RUN, /, given: Any = None, **stored: str) -> Plan:
    return build_plan(parse("outer", spec, **stored), given or {}, run)


def refusal(spec: str, **stored: str) -> str:
    with pytest.raises(InvalidDocument) as refused:
        plan(spec, **stored)
    return str(refused.value)


def phases(*entries: str) -> str:
    return "  phases:\n" + "".join(f"    - {entry}\n" for entry in entries)


def include(name: str, variables: str = "{}") -> str:
    return f"include: {{scenario: {name}, variables: {variables}}}"


def test_the_phases_of_the_other_scenario_stand_in_its_place() -> None:
    built = plan(phases("name: first", include("login"), "name: last"), login=LOGIN)
    assert [phase.name for phase in built.phases] == ["first", "login: log in", "last"]
    assert built.guards == ()
    assert [str(part) for part in built.left_out] == ["phase 'login: look'"]
    assert [step.phase for step in list_steps(built)] == ["login: log in"]
    assert "login: log in" in plan_timeline(built)


def test_its_variables_are_given_and_a_second_inclusion_has_other_names() -> None:
    spec = "  variables: {who: {type: string, default: bob}}\n"
    spec += phases(include("login", "{user: '${who}', thorough: true}"), include("login"))
    built = plan(spec, login=LOGIN)
    assert [phase.name for phase in built.phases] == ["login: log in", "login: look", "login: log in (2)"]
    said = [phase.actions[0].do.arguments["say"] for phase in built.phases if phase.actions]
    assert said == ["login bob outer", "login eve outer"]


def test_faults_of_included_scenarios_have_ids_of_their_own() -> None:
    words = "{say: '${fault.id}'}"
    fault = phases(f"{{name: p, actions: [{{name: a, do: {{target: {words}}}, undo: {{target: {words}}}}}]}}")
    middle = phases(include("fault"), include("fault"))
    built = plan(phases(include("middle"), include("fault"), include("middle")), middle=middle, fault=fault)
    ids = [phase.actions[0].fault_id for phase in built.phases]
    assert len(set(ids)) == len(ids) == 5


def test_circles_are_refused_with_their_path() -> None:
    found = refusal(phases("name: p", include("a")), a=phases(include("b")), b=phases(include("a")))
    assert found.startswith(
        "line 7, column 27: 'a' cannot be included: line 6, column 27: 'b' cannot be included"
    )
    assert "the scenarios include each other in a cycle: outer → a → b → a" in found
    assert "in a cycle: outer → outer" in refusal(phases(include("outer")))


def test_three_deep_is_the_limit() -> None:
    stored = {"c": phases("name: p"), "b": phases(include("c")), "a": phases(include("b"))}
    assert [phase.name for phase in plan(phases(include("a")), **stored).phases] == ["a: b: c: p"]
    found = refusal(phases(include("z")), z=phases(include("a")), **stored)
    assert "'c' would be included more than 3 deep: outer → z → a → b → c" in found


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (include("lgoin"), "line 6, column 27: unknown scenario 'lgoin' (did you mean 'login'?)"),
        (include("'${x}'"), "'${x}' is undefined"),
        (include("Login"), "'Login' is not allowed: it must match the pattern"),
        (
            include("login", "{usr: eve}"),
            "'login' cannot be included: unknown variable 'usr': did you mean 'user'?",
        ),
        (
            include("login", "{thorough: 3}"),
            "'login' cannot be included: variable 'thorough' is 3, not true or false",
        ),
        (
            "{name: p, include: {scenario: login}}",
            "line 6, column 8: 'include' and 'name' cannot be combined: it stands for whole phases",
        ),
        ("include: {scenaro: login}", "unknown key 'scenaro' in 'include'; allowed: scenario, variables"),
        ("include: login", "'login' is not a mapping"),
    ],
)
def test_an_include_that_is_not_valid_is_refused_at_its_place(entry: str, message: str) -> None:
    assert message in refusal(phases(entry), login=LOGIN)


def test_a_document_with_an_unknown_scenario_is_valid_until_its_plan_is_built() -> None:
    assert parse("outer", phases(include("later"))).list_includes() == ["later"]


def test_scenarios_that_judge_loads_are_not_included() -> None:
    source = "  load: [{name: users, rate: 10/s, request: {target: {say: x}}}]\n"
    judged = "{name: v, load: users, expect: {error_rate: {at_most: 1%}}}"
    source += phases(f"{{name: p, hold: 20s, validations: [{judged}]}}")
    assert "'loaded' judges a load, and loads are not included" in refusal(
        phases(include("loaded")), loaded=source
    )


def test_many_inclusions_are_refused_before_a_huge_plan_is_built() -> None:
    big = phases(
        *(f"{{name: p{n}, actions: [{{name: a, each: {{x: [1, 2, 3]}}, {ACT % 'x'}}}]}}" for n in range(99))
    )
    found = refusal(phases(*[include("big")] * 5), big=big)
    assert "with what it includes, the plan would have more than 1,000 steps" in found
    small = phases("name: p")
    wide = phases(*[include("small")] * 40)
    assert "would include more than 50 scenarios" in refusal(
        phases(include("wide"), include("wide")), wide=wide, small=small
    )
