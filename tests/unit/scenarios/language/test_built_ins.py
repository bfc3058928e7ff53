"""Values that a scenario uses without declaring them: `${run.id}`, `${fault.id}`, `${now}` and so on."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.domain.plan import Plan
from scenarios.engine.engine import Engine
from scenarios.language.built_ins import ONLY_PLANNED, RunFacts
from scenarios.language.document import build_plan, parse_document
from tests.fakes import (
    FakeClock,
    InMemoryJournal,
    NoServices,
    ScriptedDriver,
    TargetCall,
    run_in_virtual_time,
)

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"
RUN = RunFacts(UUID("0123456789abcdef0123456789abcdef"), 1, datetime(2026, 1, 31, 23, 59, 0, 7, UTC))
LOOK = "probe: {target: {say: look}}, expect: {status: 200}"


def plan(phases: str, run: RunFacts = RUN, variables: str = "", **given: Any) -> Plan:
    source = f"{HEAD}  {variables}\n  phases: {phases}\n"
    return build_plan(parse_document(source, {"target": TargetCall}), given, run)


def words(text: str, run: RunFacts = RUN, variables: str = "", **given: Any) -> str:
    built = plan(
        f"[{{name: p, actions: [{{name: a, do: {{target: {{say: '{text}'}}}}}}]}}]", run, variables, **given
    )
    said: str = built.phases[0].actions[0].do.arguments["say"]
    return said


def refusal(phases: str) -> str:
    with pytest.raises(InvalidDocument) as refused:
        plan(phases)
    return str(refused.value)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${run.id}", "01234567-89ab-cdef-0123-456789abcdef"),
        ("order-${run.short_id}-1", "order-01234567-1"),
        ("${scenario.name}", "sample"),
        ("${now}", "2026-01-31T23:59:00Z"),
        ("$${run.id}", "${run.id}"),
    ],
)
def test_a_built_in_value_is_filled_in(text: str, filled: str) -> None:
    assert words(text) == filled


def test_now_is_in_utc() -> None:
    there = datetime(2026, 6, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert words("${now}", RunFacts(RUN.id, 1, there)) == "2026-05-31T23:30:00Z"


def test_a_declared_variable_now_takes_precedence() -> None:
    declared = "variables: {now: {type: string, default: later}}"
    assert words("${now}", variables=declared) == "later"
    assert words("${now}", variables=declared, now="soon") == "soon"


def test_a_plan_without_a_run_has_zeros() -> None:
    assert words("${run.short_id} ${fault.id}", ONLY_PLANNED) == f"00000000 {'0' * 32}"


def fault(name: str, more: str = "") -> str:
    do, undo = (f"{{target: {{say: '{verb} ${{fault.id}}'}}}}" for verb in ("break", "mend"))
    return f"{{name: {name}, do: {do}, undo: {undo}{more}}}"


def test_do_undo_and_undone_of_a_fault_know_the_same_id() -> None:
    undone = ", undone: {probe: {target: {say: 'look ${fault.id}'}}, expect: {status: 200}}"
    (action,) = plan(f"[{{name: p, actions: [{fault('a', undone)}]}}]").phases[0].actions
    said = [step.arguments["say"].split() for step in action.steps()]
    assert [verb for verb, _ in said] == ["break", "mend", "look"]
    assert {own for _, own in said} == {action.fault_id}


@settings(deadline=None, max_examples=20)
@given(st.uuids(version=4), st.integers(1, 9))
def test_fault_ids_differ_by_action_and_attempt_and_stay_the_same(run: UUID, attempt: int) -> None:
    phases = f"[{{name: p, actions: [{fault('a')}, {fault('b')}]}}, {{name: q, actions: [{fault('a')}]}}]"

    def ids(attempt: int) -> list[str]:
        built = plan(phases, RunFacts(run, attempt, None))
        return [action.fault_id for phase in built.phases for action in phase.actions]

    assert len({*ids(attempt), *ids(attempt + 1)}) == 6
    assert ids(attempt) == ids(attempt)
    assert all(len(fault_id) == 32 for fault_id in ids(attempt))


def test_a_fault_that_does_not_use_its_id_is_given_none() -> None:
    (action,) = plan("[{name: p, actions: [{name: a, do: {target: {say: x}}}]}]").phases[0].actions
    assert action.fault_id == ""


def test_an_undo_is_sent_with_the_id_that_was_sent_with_the_do() -> None:
    journal, driver = InMemoryJournal(), ScriptedDriver()
    built = plan(f"[{{name: p, actions: [{fault('a')}]}}]")
    engine = Engine(
        built,
        drivers={"target": driver},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
    )
    verdict = run_in_virtual_time(engine.carry_out())
    assert (verdict.outcome, verdict.rollback) == (Outcome.PASSED, Rollback.CLEAN)
    fault_id = built.phases[0].actions[0].fault_id
    assert driver.said == [f"break {fault_id}", f"mend {fault_id}"]


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        (
            "[{name: p, validations: [{name: v, probe: {target: {say: '${fault.id}'}}, expect: {a: 1}}]}]",
            "line 6, column 68: '${fault.id}' is outside a fault (use it only in 'do', 'undo'",
        ),
        (
            "[{name: p, actions: [{name: 'a ${fault.id}', do: {target: {say: x}}}]}]",
            "'${fault.id}' is outside a fault",
        ),
        (
            "[{name: p, actions: [{name: a, do: {target: {say: '${run.idd}'}}}]}]",
            "did you mean 'run.id'?",
        ),
        (
            "[{name: p, actions: [{name: a, do: {target: {say: '${secret:run.id}'}}}]}]",
            "does not name a secret",
        ),
        (
            "[{name: p, actions: [{name: a, do: {target: {say: '${nowt}'}}}]}]",
            "did you mean 'now'?",
        ),
    ],
)
def test_a_built_in_value_that_is_not_there_is_refused(phases: str, message: str) -> None:
    assert message in refusal(phases)


def test_a_built_in_value_that_does_not_fit_is_the_fault_of_the_document() -> None:
    refused = refusal(f"[{{name: p, hold: '${{run.id}}', validations: [{{name: v, {LOOK}}}]}}]")
    assert refused.startswith("line 6, column 28: '00000000-0000-0000-0000-000000000000' is not a duration")


def test_the_moment_is_now_where_no_run_has_begun() -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    seen = datetime.strptime(words("${now}", ONLY_PLANNED), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert before <= seen <= datetime.now(UTC)
