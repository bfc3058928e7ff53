"""Contradicting times are refused when a document is read, and the time limits of steps."""

import pytest

from tests.unit.scenarios.language.documents import Drivers, Problems, WithSpec, make_plan

HTTP = "{http: {service: s, timeout: %s}}"
LOOK = "{http: {service: s}}"


def validation(probe: str, more: str = "") -> str:
    return f"phases: [{{name: p, validations: [{{name: v, probe: {probe}, expect: {{status: 200}}{more}}}]}}]"


def action(do: str, more: str = "") -> str:
    return f"phases: [{{name: p, actions: [{{name: a, do: {do}{more}}}]}}]"


def waiting(*seconds: str) -> str:
    actions = ", ".join(
        f"{{name: a{index}, do: {{wait: {{duration: {duration}}}}}}}"
        for index, duration in enumerate(seconds)
    )
    return f"actions: [{actions}]"


OWN_TIMES = [
    (action(HTTP % "60s"), 60),
    (action(HTTP % "20s"), 30),
    (action(LOOK), 30),
    (action(HTTP % "20s", ", timeout: 25s"), 25),
    (action("{wait: {duration: 2m}}"), 120),
]


@pytest.mark.parametrize(("spec", "seconds"), OWN_TIMES)
def test_longer_time_of_a_step_extends_the_action(
    spec: str, seconds: float, with_spec: WithSpec, drivers: Drivers
) -> None:
    (done,) = make_plan(spec, {}, with_spec, drivers).phases[0].actions
    assert done.timeout == seconds


def test_undo_has_its_own_time_limit(with_spec: WithSpec, drivers: Drivers) -> None:
    spec = action(LOOK, f", undo: {HTTP % '90s'}")
    (fault,) = make_plan(spec, {}, with_spec, drivers).phases[0].actions
    assert (fault.timeout, fault.undo_timeout) == (30, 90)


@pytest.mark.parametrize(("time", "seconds"), [("20s", 20), ("2s", 10)])
def test_longer_time_of_a_probe_extends_the_validation(
    time: str, seconds: float, with_spec: WithSpec, drivers: Drivers
) -> None:
    guard = f"guards: [{{name: g, probe: {HTTP % time}, expect: {{status: 200}}}}]\n"
    plan = make_plan(guard + validation(HTTP % time), {}, with_spec, drivers)
    assert plan.guards[0].timeout == plan.phases[0].validations[0].timeout == seconds


def test_time_of_a_step_may_be_a_variable(with_spec: WithSpec, drivers: Drivers) -> None:
    spec = "variables: {t: {type: duration, default: 5s}}\n" + action(HTTP % '"${t}"')
    (done,) = make_plan(spec, {"t": "3m"}, with_spec, drivers).phases[0].actions
    assert done.timeout == 180


CUT_SHORT = {
    "an action": action(HTTP % "60s", ",\n  timeout: 20s"),
    "an undo": action(LOOK, f", undo: {HTTP % '60s'},\n  timeout: 20s"),
    "a proof": action(
        LOOK,
        f", undo: {LOOK}, undone: {{probe: {HTTP % '60s'}, expect: {{status: 200}}}},\n  timeout: 20s",
    ),
    "a wait": action("{wait: {duration: 60s}}", ",\n  timeout: 20s"),
    "a validation": validation(HTTP % "60s", ",\n  timeout: 20s"),
    "a guard": (
        f"guards: [{{name: g, probe: {HTTP % '60s'}, expect: {{status: 200}},\n  timeout: 20s}}]\n"
        "phases: [{name: p}]"
    ),
}


@pytest.mark.parametrize("spec", CUT_SHORT.values(), ids=CUT_SHORT)
def test_timeout_shorter_than_the_steps_own_is_refused_with_both_lines(
    spec: str, with_spec: WithSpec, problems: Problems
) -> None:
    (problem,) = problems(with_spec(spec))
    assert problem.line == 5
    assert "1m is longer than the 'timeout' of the" in problem.message
    assert problem.hint == "'timeout' is in line 6"


def test_a_timeout_that_a_variable_makes_too_short_is_refused(
    with_spec: WithSpec, problems: Problems
) -> None:
    spec = "variables: {t: {type: duration, default: 5s}}\n" + action(HTTP % "60s", ', timeout: "${t}"')
    (problem,) = problems(with_spec(spec))
    assert "which ends the step after 5s" in problem.message


TOO_LONG = {
    "hold": ("phases: [{name: p, hold: 2h}]", "hold", "at least 2h"),
    "at": (action(LOOK, ", at: 2h"), "at", "at least 2h"),
    "within": (validation(LOOK, ", within: 2h"), "within", "2h is longer than the run"),
    "for": (validation(LOOK, ", within: 1m, for: 2h"), "for", "at least 2h"),
    "one wait": (f"phases: [{{name: p, {waiting('2h')}}}]", "duration", "at least 2h"),
    "waits in turn": (f"phases: [{{name: p, {waiting('40m', '40m')}}}]", "duration", "at least 1h20m"),
    "several phases": (
        "phases: [{name: p, hold: 40m}, {name: q, hold: 10m}, {name: r, hold: 20m}]",
        "hold",
        "at least 1h10m",
    ),
    "an action's own time": (action(HTTP % "2h"), "timeout", "2h is longer than the run"),
    "a probe's own time": (validation(HTTP % "2h"), "timeout", "2h is longer than the run"),
    "a guard's own time": (
        f"guards: [{{name: g, probe: {HTTP % '2h'}, expect: {{status: 200}}}}]\nphases: [{{name: p}}]",
        "timeout",
        "2h is longer than the run",
    ),
    "a written timeout": ("timeout: 5s\nphases: [{name: p, hold: 6s}]", "hold", "at least 6s"),
}


@pytest.mark.parametrize(("spec", "word", "message"), TOO_LONG.values(), ids=TOO_LONG)
def test_phases_longer_than_the_run_are_refused_at_their_place(
    spec: str, word: str, message: str, with_spec: WithSpec, problems: Problems
) -> None:
    source = with_spec(spec)
    (problem,) = problems(source)
    assert message in problem.message
    assert source.splitlines()[problem.line - 1][problem.column - 1 :].startswith(word)


SHORT_ENOUGH = [
    "phases: [{name: p, hold: 1h}]",
    "timeout: 3h\nphases: [{name: p, hold: 2h}]",
    f"phases: [{{name: p, hold: 40m, {waiting('30m')}}}]",
    "phases: [{name: p, hold: 40m, actions: [{name: a, do: {wait: {duration: 20m}}, at: 30m}]}]",
    validation(LOOK, ", within: 1h"),
    validation(LOOK, ", within: 40m, for: 40m"),
    'variables: {h: {type: duration}}\nphases: [{name: p, hold: "${h}"}]',
]


@pytest.mark.parametrize("spec", SHORT_ENOUGH)
def test_phases_that_fit_the_run_are_accepted(spec: str, with_spec: WithSpec, problems: Problems) -> None:
    assert problems(with_spec(spec)) == ()


def test_variable_that_makes_a_phase_too_long_is_refused(with_spec: WithSpec, problems: Problems) -> None:
    spec = 'variables: {h: {type: duration, default: 2h}}\nphases: [{name: p, hold: "${h}"}]'
    (problem,) = problems(with_spec(spec))
    assert "at least 2h" in problem.message
