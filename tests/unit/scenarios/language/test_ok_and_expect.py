"""`ok` and `expect` of actions: what is refused and where, and the resulting plan."""

import pytest

from scenarios.domain.plan import Plan
from tests.unit.scenarios.language.documents import Drivers, Problems, WithSpec, make_plan

HTTP = "phases: [{name: p, actions: [{name: a, do: {http: {service: s, %s}}}]}]"
ACTION = "phases: [{name: p, actions: [{name: a, do: {wait: {duration: 1s}}, %s}]}]"
PROBE = (
    "phases: [{name: p, validations: [{name: v, probe: {http: {service: s, ok: [200]}},"
    " expect: {status: 200}}]}]"
)
GUARD = (
    "guards: [{name: g, probe: {http: {service: s, ok: [200]}}, expect: {status: 200}}]\n" + ACTION % "at: 1s"
)

REFUSED = {
    "no list": (HTTP % "ok: 200", 5, "200}}}", "200 is not a list", "'- '"),
    "an empty list": (HTTP % "ok: []", 5, "[]", "at least 1 entry", ""),
    "no status": (HTTP % "ok: [2000]", 5, "2000", "2000 is not allowed: it must be at most 599", ""),
    "text": (HTTP % "ok: ['204']", 5, "'204'", "'204' is not a whole number", "without quotes"),
    "a followed redirect": (
        HTTP % "follow_redirects: true, ok: [204, 303]",
        5,
        "ok: [204",
        "'follow_redirects' follows 303",
        "",
    ),
    "ok of a validation's probe": (PROBE, 5, "ok: [200]", "'ok' is not allowed in a probe", "'expect'"),
    "ok of a guard's probe": (GUARD, 5, "ok: [200]", "'ok' is not allowed in a probe", "'expect'"),
    "an empty expectation": (ACTION % "expect: {}", 5, "expect", "'expect' is empty", ""),
    "an unknown matcher": (
        ACTION % "expect: {elapsed: {belo: 1}}",
        5,
        "belo",
        "unknown key 'belo' in 'elapsed'",
        "did you mean 'below'?",
    ),
    "a bad pattern": (
        HTTP % "}}, expect: {body: {matches: '('}}}]}]#",
        5,
        "'('",
        "not a regular expression",
        "",
    ),
    "a secret": (
        HTTP % "}}, expect: {body: '${secret:NAME}'}}]}]#",
        5,
        "'${secret:NAME}'",
        "is outside a step",
        "",
    ),
}


@pytest.mark.parametrize(("spec", "line", "at", "message", "hint"), REFUSED.values(), ids=REFUSED)
def test_invalid_ok_and_expect_are_refused_at_their_place(
    spec: str, line: int, at: str, message: str, hint: str, *, with_spec: WithSpec, problems: Problems
) -> None:
    source = with_spec(spec)
    (found,) = problems(source)
    assert (found.line, message in found.message, hint in found.hint) == (line, True, True), found
    assert source.splitlines()[line - 1][found.column - 1 :].startswith(at)


def test_variables_fill_in_ok_and_what_an_action_expects(with_spec: WithSpec, drivers: Drivers) -> None:
    spec = (
        "variables: {code: {type: integer, default: 204}}\n"
        'phases: [{name: p, actions: [{name: a, do: {http: {service: s, ok: ["${code}"]}},'
        ' expect: {status: "${code}"}}]}]'
    )
    plan: Plan = make_plan(spec, {"code": 404}, with_spec, drivers)
    action = plan.phases[0].actions[0]
    assert action.do.arguments["ok"] == [404]
    assert action.expect is not None
    assert action.expect.fields == {"status": 404}


def test_action_without_expect_has_no_expectation(with_spec: WithSpec, drivers: Drivers) -> None:
    assert make_plan(ACTION % "at: 1s", {}, with_spec, drivers).phases[0].actions[0].expect is None
