"""`when` of phases, actions and validations: what is left out, and how people see it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.plan import Plan
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.language.document import build_plan, parse_document
from scenarios.library.dry_run import list_steps
from scenarios.pictures.plan_timeline import plan_timeline
from tests.fakes import TargetCall

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"
FLAGS = "  variables: {on: {type: boolean, default: true}, off: {type: boolean, default: false}}\n"
ACT = "do: {target: {say: act}}"
LOOK = "probe: {target: {say: look}}, expect: {status: 200}"


def plan(phases: str, more: str = "", **given: Any) -> Plan:
    return build_plan(
        parse_document(f"{HEAD}{FLAGS}{more}  phases: {phases}\n", {"target": TargetCall}), given
    )


def refusal(phases: str, more: str = "") -> str:
    with pytest.raises(InvalidDocument) as refused:
        plan(phases, more)
    return str(refused.value)


def names(built: Plan) -> list[str]:
    found = [phase.name for phase in built.phases]
    for phase in built.phases:
        found += [action.name for action in phase.actions]
        found += [validation.name for validation in phase.validations]
    return found


MIXED = f"""
  - {{name: p, actions: [{{name: a, when: "${{on}}", {ACT}}}, {{name: b, when: "${{off}}", {ACT}}}],
     validations: [{{name: v, when: "${{off}}", {LOOK}}}, {{name: w, {LOOK}}}]}}
  - {{name: q, when: "${{off}}", actions: [{{name: c, {ACT}}}], validations: [{{name: x, {LOOK}}}]}}
  - {{name: r, when: true, actions: [{{name: d, when: false, {ACT}}}]}}
"""


def test_parts_with_a_false_when_are_left_out_and_listed() -> None:
    built = plan(MIXED)
    assert names(built) == ["p", "r", "a", "w"]
    assert [str(part) for part in built.left_out] == [
        "action 'b' of phase 'p'",
        "validation 'v' of phase 'p'",
        "phase 'q'",
        "action 'd' of phase 'r'",
    ]


def test_a_flag_of_the_run_decides() -> None:
    assert names(plan(MIXED, off=True)) == ["p", "q", "r", "a", "b", "v", "w", "c", "x"]
    assert names(plan(MIXED, on="false")) == ["p", "r", "w"]


def test_a_dry_run_lists_what_is_left_out_and_says_so() -> None:
    notes = {step.name: step.note for step in list_steps(plan(MIXED))}
    left_out = "left out, because 'when' is false"
    of_phase = "left out, because 'when' of the phase is false"
    assert notes == {
        "a": "", "w": "", "b": left_out, "v": left_out, "c": of_phase, "x": of_phase, "d": left_out
    }  # fmt: skip


def test_the_picture_counts_what_is_left_out() -> None:
    assert "4 left out" in plan_timeline(plan(MIXED))


def test_steps_that_are_left_out_are_no_steps_of_the_plan() -> None:
    assert len(list(plan(MIXED).steps())) == 2


def test_a_phase_that_may_be_left_out_needs_no_time_of_the_run() -> None:
    long = '[{name: p, hold: 1m}, {name: q, hold: 2h, when: "${off}"}]'
    assert names(plan(long)) == ["p"]
    with pytest.raises(InvalidDocument, match="the phases up to here take at least 2h1m"):
        plan(long, off=True)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.booleans(), min_size=1, max_size=5).filter(any))
def test_plan_and_left_out_together_are_the_document(flags: list[bool]) -> None:
    phases = ", ".join(f"{{name: p{i}, when: {str(flag).lower()}}}" for i, flag in enumerate(flags))
    built = plan(f"[{phases}]")
    assert names(built) == [f"p{i}" for i, flag in enumerate(flags) if flag]
    assert [part.name for part in built.left_out] == [f"p{i}" for i, flag in enumerate(flags) if not flag]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        ("[{name: p, when: 'yes'}]", "line 6, column 28: 'yes' is not true or false"),
        ("[{name: p, when: '${of}'}]", "'${of}' is undefined: 'spec.variables' declares on, off"),
        ("[{name: p, wen: true}]", "unknown key 'wen' in 'phases[0]'"),
        ("[{name: p, when: false}]", "column 22: 'when' of every phase is false: nothing is left"),
        (f"[{{name: p, validations: [{{name: v, when: false, {LOOK}}}]}}]", "without testing anything"),
        (
            f"[{{name: p, when: false}}, {{name: q, actions: [{{name: a, when: '${{off}}', {ACT}}}]}}]",
            "without testing anything",
        ),
        ("[{name: p, when: '${off}'}]", "nothing is left to carry out (that is the default of '${off}')"),
    ],
)
def test_a_when_that_is_not_valid_is_refused_at_its_place(phases: str, message: str) -> None:
    assert message in refusal(phases)


def test_guards_test_a_run_whose_validations_are_left_out() -> None:
    guards = f"  guards: [{{name: g, {LOOK}}}]\n"
    phases = f"[{{name: p, hold: 1s, validations: [{{name: v, when: false, {LOOK}}}]}}]"
    assert names(plan(phases, guards)) == ["p"]


def test_a_text_is_no_flag() -> None:
    more = "  # a comment\n"
    source = f"{HEAD}  variables: {{on: {{type: string}}}}\n{more}  phases: [{{name: p, when: '${{on}}'}}]\n"
    with pytest.raises(InvalidVariables, match="'true' is not true or false"):
        build_plan(parse_document(source, {"target": TargetCall}), {"on": "true"})


def test_a_validation_of_a_load_can_be_left_out() -> None:
    load = "  load: [{name: users, rate: 10/s, request: {http: {service: shop}}}]\n"
    judged = "{name: few errors, load: users, when: '${off}', expect: {error_rate: {at_most: 1%}}}"
    source = f"{HEAD}{FLAGS}{load}  phases: [{{name: p, hold: 20s, validations: [{judged}]}}]\n"
    document = parse_document(source, {"http": HttpArguments})
    built = build_plan(document, {})
    assert built.phases[0].load_validations == ()
    assert [str(part) for part in built.left_out] == ["validation 'few errors' of phase 'p'"]
    assert len(build_plan(document, {"off": True}).phases[0].load_validations) == 1
