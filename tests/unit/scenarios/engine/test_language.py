"""What the words of a document do when it is carried out, one test for each rule of the language."""

from typing import Any

import pytest

from scenarios.domain.errors import InvalidVariables, StepFailed, StepImpossible
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.drivers import DriverNotLoaded, load_drivers
from scenarios.language.document import build_plan, parse_document
from tests.fakes import (
    InMemoryJournal,
    ScriptedDriver,
    TargetCall,
)
from tests.unit.scenarios.engine.document_runs import BAD, GOOD, HEAD, LOOK, carry_out_document


def fault(name: str, more: str = "") -> str:
    do, undo = (f"{{target: {{say: {verb} {name}}}}}" for verb in ("break", "mend"))
    return f"{{name: {name}, do: {do}, undo: {undo}{more}}}"


def test_omitted_words_have_their_defaults() -> None:
    source = f"""{HEAD}
  guards: [{{name: g, {LOOK}}}]
  phases: [{{name: p, actions: [{fault("a")}], validations: [{{name: v, {LOOK}}}]}}]
"""
    plan = build_plan(parse_document(source, {"target": TargetCall}), {})
    (guard,), (phase,) = plan.guards, plan.phases
    (action,), (validation,) = phase.actions, phase.validations
    assert (plan.timeout, plan.retry_interrupted) == (3600, 0)
    assert (guard.every, guard.tolerate, guard.timeout) == (1, 0, 10)
    assert (phase.hold, phase.on_failure) == (0, "recover")
    assert (action.at, action.until, action.timeout) == (None, "phase", 30)
    once = (validation.within, validation.throughout)
    assert (once, validation.every, validation.timeout) == ((None, False), 1, 10)


# Actions


def test_actions_without_at_run_one_after_another_and_one_with_at_runs_at_its_moment() -> None:
    actions = f"[{fault('late', ', at: 4s')}, {fault('a')}, {fault('b')}]"
    _verdict, journal, said = carry_out_document(f"phases: [{{name: p, hold: 10s, actions: {actions}}}]")
    assert said[:3] == ["break a", "break b", "break late"]
    assert journal.moment("fault_injected", "late") == 4


def test_a_fault_is_undone_at_the_end_of_its_phase_or_run_as_until_says() -> None:
    actions = f"[{fault('a', ', until: run')}, {fault('b')}]"
    _verdict, journal, said = carry_out_document(
        f"phases: [{{name: p, hold: 5s, actions: {actions}}}, {{name: q, hold: 7s}}]"
    )
    assert said == ["break a", "break b", "mend b", "mend a"]
    assert (journal.moment("fault_undone", "b"), journal.moment("fault_undone", "a")) == (5, 12)


def test_an_action_without_an_undo_is_not_written_to_the_ledger() -> None:
    _verdict, journal, _said = carry_out_document(
        "phases: [{name: p, actions: [{name: a, do: {target: {say: look}}}]}]"
    )
    assert journal.faults == {}


# Validations


def test_validations_start_when_the_actions_without_at_are_done_and_run_side_by_side() -> None:
    checks = ", ".join(f"{{name: v{number}, within: 5s, for: 3s, {LOOK}}}" for number in (1, 2))
    _verdict, journal, said = carry_out_document(
        f"phases: [{{name: p, actions: [{fault('a')}], validations: [{checks}]}}]"
    )
    assert said.index("break a") < said.index("look")
    assert journal.moment("validation_passed", "v1") == journal.moment("validation_passed", "v2") == 3


@pytest.mark.parametrize(("seen", "outcome"), [(GOOD, Outcome.PASSED), (BAD, Outcome.FAILED)])
def test_a_validation_with_neither_within_nor_throughout_looks_once(seen: Any, outcome: Outcome) -> None:
    verdict, _journal, said = carry_out_document(
        f"phases: [{{name: p, validations: [{{name: v, {LOOK}}}]}}]", {"look": seen}
    )
    assert (verdict.outcome, said) == (outcome, ["look"])


def test_throughout_is_polled_every_so_often_as_long_as_the_phase_lasts() -> None:
    verdict, _journal, said = carry_out_document(
        f"phases: [{{name: p, hold: 10s, validations: [{{name: v, throughout: true, every: 2s, {LOOK}}}]}}]"
    )
    assert verdict.outcome is Outcome.PASSED
    assert len(said) in {5, 6}


def test_a_value_that_cannot_be_compared_is_a_failed_validation_that_says_so() -> None:
    verdict, _journal, _said = carry_out_document(
        f"phases: [{{name: p, validations: [{{name: v, {LOOK.replace('200', '{above: 3}')}}}]}}]",
        {"look": {"status": "ok"}},
    )
    assert verdict.outcome is Outcome.FAILED
    assert "is not a number and cannot be above 3" in verdict.reason


# Phases


def test_a_phase_ends_when_its_hold_is_over_and_its_validations_have_ended() -> None:
    for hold, end in (("1s", 4), ("9s", 9)):
        _verdict, journal, _said = carry_out_document(
            f"phases: [{{name: p, hold: {hold}, validations: [{{name: v, within: 9s, for: 4s, {LOOK}}}]}}]"
        )
        assert journal.moment("phase_finished", "p") == end


ON_FAILURE = "phases: [{{name: p, {words}validations: [{{name: v, " + LOOK.replace("{", "{{").replace(
    "}", "}}"
)
ON_FAILURE += "}}]}}, {{name: q}}]"


def test_after_a_failed_validation_phases_that_only_look_are_carried_out_by_default() -> None:
    verdict, journal, _said = carry_out_document(ON_FAILURE.format(words=""), {"look": BAD})
    assert verdict.outcome is Outcome.FAILED
    assert "phase_finished q" in journal.story()


def test_on_failure_stop_skips_all_later_phases() -> None:
    verdict, journal, _said = carry_out_document(ON_FAILURE.format(words="on_failure: stop, "), {"look": BAD})
    assert verdict.outcome is Outcome.FAILED
    assert "phase_started q" not in journal.story()


def test_on_failure_continue_goes_on_with_the_next_phase_and_fails_in_the_end() -> None:
    verdict, journal, _said = carry_out_document(
        ON_FAILURE.format(words="on_failure: continue, "), {"look": BAD}
    )
    assert verdict.outcome is Outcome.FAILED
    assert "phase_finished q" in journal.story()


GRAVEST = {
    "aborted": ("guards: [{name: g, probe: {target: {say: guard}}, expect: {status: 200}}]\n", "hold: 9s"),
    "timed_out": ("timeout: 5s\n", "hold: 5s"),
    "errored": ("", "actions: [{name: a, do: {target: {say: break}}}]"),
    "failed": ("", "hold: 1s"),
}


@pytest.mark.parametrize("outcome", GRAVEST)
def test_the_outcome_of_a_run_that_continues_is_the_gravest_that_happened(outcome: str) -> None:
    before, words = GRAVEST[outcome]
    answers = {"look": BAD, "break": StepFailed("no"), "guard": [GOOD, GOOD, GOOD, BAD]}
    verdict, _journal, _said = carry_out_document(
        f"{before}phases: [{{name: p, on_failure: continue, validations: [{{name: v, {LOOK}}}]}},"
        f" {{name: q, {words}}}]",
        answers,
    )
    assert verdict.outcome == outcome
    assert verdict.rollback is Rollback.CLEAN


# Guards


def guarded(tolerate: str, answers: list[Any]) -> tuple[Verdict, InMemoryJournal, list[str]]:
    guard = f"{{name: g, every: 1s, {tolerate}probe: {{target: {{say: guard}}}}, expect: {{status: 200}}}}"
    spec = f"guards: [{guard}]\nphases: [{{name: p, hold: 9s, actions: [{fault('a')}]}}]"
    return carry_out_document(spec, {"guard": answers})


def test_a_guard_that_trips_aborts_the_run_at_once_and_everything_is_undone() -> None:
    verdict, journal, said = guarded("", [GOOD, GOOD, GOOD, BAD])
    assert (verdict.outcome, verdict.rollback) == (Outcome.ABORTED, Rollback.CLEAN)
    assert "guard 'g' tripped" in verdict.reason
    assert journal.moment("guard_tripped", "g") == journal.moment("fault_undone", "a") == 3
    assert said[-1] == "mend a"


def test_a_guard_tolerates_as_many_failures_in_a_row_as_it_says() -> None:
    assert guarded("tolerate: 2, ", [BAD, BAD, GOOD, BAD, BAD, GOOD])[0].outcome is Outcome.PASSED
    assert guarded("tolerate: 2, ", [BAD, BAD, GOOD, BAD, BAD, BAD])[0].outcome is Outcome.ABORTED


def test_a_guard_is_watched_to_the_end_of_the_last_phase_and_no_longer() -> None:
    verdict, journal, said = guarded("", [GOOD])
    assert verdict.outcome is Outcome.PASSED
    assert said.count("guard") in {9, 10}
    assert journal.moment("phase_finished") == 9


# Outcomes


def test_a_probe_that_cannot_be_evaluated_at_all_is_an_error_and_no_failure() -> None:
    verdict, _journal, _said = carry_out_document(
        f"phases: [{{name: p, validations: [{{name: v, {LOOK}}}]}}]",
        {"look": StepImpossible("no such thing")},
    )
    assert verdict.outcome is Outcome.ERRORED
    assert "no such thing" in verdict.reason


def test_a_run_that_reaches_its_timeout_has_timed_out_and_its_rollback_is_not_cut_short() -> None:
    verdict, journal, _said = carry_out_document(
        f"timeout: 5s\nphases: [{{name: p, hold: 5s, actions: [{fault('a')}]}}]",
        {"mend a": [StepFailed("not yet"), StepFailed("not yet"), GOOD]},
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.TIMED_OUT, Rollback.CLEAN)
    assert journal.moment("fault_undone", "a") > 5


def test_the_rollback_is_dirty_while_an_undo_still_fails() -> None:
    verdict, _journal, _said = carry_out_document(
        f"phases: [{{name: p, actions: [{fault('a', ', until: run')}]}}]", {"mend a": StepFailed("gone")}
    )
    assert (verdict.outcome, verdict.rollback) == (Outcome.PASSED, Rollback.DIRTY)


# Variables


TEMPLATE = """
variables: {who: {type: string}, hold: {type: duration, default: 2s}}
phases: [{name: p, hold: "${hold}", actions: [{name: a, do: {target: {say: "${who} costs $${who}"}}}]}]
"""


def test_a_template_needs_its_variables_when_it_is_started() -> None:
    with pytest.raises(InvalidVariables, match="'who' has no default"):
        carry_out_document(TEMPLATE)
    _verdict, journal, said = carry_out_document(TEMPLATE, variables={"who": "ann", "hold": "7s"})
    assert journal.moment("phase_finished") == 7
    assert said == ["ann costs ${who}"]


# Drivers


class SitesOwn(ScriptedDriver):
    """A driver as a site adds it: its arguments are declared once."""

    name = "sites-own"


def test_a_site_adds_its_driver_by_a_dotted_path() -> None:
    drivers = load_drivers([f"{__name__}.SitesOwn", "scenarios.drivers.wait.Wait"])
    arguments = {name: driver.Arguments for name, driver in drivers.items()}
    spec = "  phases: [{name: p, actions: [{name: a, do: {sites-own: {say: hello}}}]}]"
    plan = build_plan(parse_document(HEAD + spec, arguments), {})
    assert plan.phases[0].actions[0].do.driver == "sites-own"
    with pytest.raises(DriverNotLoaded):
        load_drivers([f"{__name__}.Nobodys"])


def test_the_last_complete_answer_is_reported_if_the_last_attempt_got_none() -> None:
    answers = {"look": [BAD, BAD, StepFailed("no answer within 1ms")]}
    verdict, journal, _said = carry_out_document(
        f"phases: [{{name: p, validations: [{{name: v, within: 5s, {LOOK}}}]}}]", answers
    )
    assert "seen last: 'status' is 503, not 200; then no answer within 1ms" in verdict.reason
    (failed,) = (event for event in journal.events if event.kind == "validation_failed")
    assert failed.detail["seen"] == BAD


def test_response_of_a_sensitive_step_is_not_recorded() -> None:
    step = "{sensitive: true, target: {say: look}}"
    answers = {"look": {"status": 503, "body": "top secret"}}
    verdict, journal, _said = carry_out_document(
        f"phases: [{{name: p, actions: [{{name: a, do: {step}}}],"
        f" validations: [{{name: v, probe: {step}, expect: {{status: 200}}}}]}}]",
        answers,
    )
    assert verdict.outcome is Outcome.FAILED
    assert "sensitive" in verdict.reason
    told = str(journal.events) + verdict.reason
    assert "503" not in told
    assert "top secret" not in told
