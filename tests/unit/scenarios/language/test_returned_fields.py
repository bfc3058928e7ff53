"""Expectations are checked against the fields that drivers declare."""

import pytest
from django.conf import settings
from pydantic import BaseModel

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.domain.results import read_returned_fields
from scenarios.drivers import load_drivers
from scenarios.language.document import build_plan, parse_document
from tests.unit.scenarios.language.documents import WithSpec

DRIVERS = {
    name: driver.Arguments
    for name, driver in load_drivers(settings.SCENARIO_DRIVERS).items()
    if hasattr(driver, "Arguments")  # others inject faults alone, and return no fields
}
PROBES = {
    "http": "{http: {service: s}}",
    "prometheus": "{prometheus: {query: up}}",
    "tcp": "{tcp: {service: s}}",
    "wait": "{wait: {duration: 1s}}",
    "grpc": "{grpc: {service: s, call: a.B/C}}",
    "container": "{container: {name: c}}",
}
PLACES = {
    "a validation": "phases: [{{name: p, validations: [{{name: v, probe: {step}, expect: {expect}}}]}}]",
    "a guard": "guards: [{{name: g, probe: {step}, expect: {expect}}}]\nphases: [{{name: p}}]",
    "an action": "phases: [{{name: p, actions: [{{name: a, do: {step}, expect: {expect}}}]}}]",
    "an undone": (
        "phases: [{{name: p, actions: [{{name: a, do: {{http: {{service: s}}}},"
        " undo: {{http: {{service: s}}}}, undone: {{probe: {step}, expect: {expect}}}}}]}}]"
    ),
}


def find_problems(source: str) -> tuple[Problem, ...]:
    try:
        parse_document(source, DRIVERS)
    except InvalidDocument as refusal:
        return refusal.problems
    return ()


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_shipped_driver_declares_its_fields(driver: str) -> None:
    assert read_returned_fields(DRIVERS[driver])


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_field_that_a_driver_does_not_return_is_refused(driver: str, place: str, with_spec: WithSpec) -> None:
    # That arguments are missing is another problem.
    spec = place.format(step=f"{{{driver}: {{}}}}", expect="{staus: 200}")
    messages = [problem.message for problem in find_problems(with_spec(spec))]
    assert any(f"{driver!r} does not return 'staus'" in message for message in messages), messages


# The driver, what is expected, the text at the place of the problem, words of its message and its hint.
REFUSED = [
    ("http", "{staus: {exists: false}}", "staus", "'http' does not return 'staus'", "'status'?"),
    ("tcp", "{conected: true}", "conected", "'tcp' does not return 'conected'", "'connected'?"),
    ("tcp", '{json: {"$.a": 1}}', "json", "'tcp' does not return 'json'", ""),
    ("wait", "{headers: {a: b}}", "headers", "'wait' does not return 'headers'", ""),
    ("prometheus", "{valeu: 1}", "valeu", "'prometheus' does not return 'valeu'", "'value'?"),
    ("http", '{status: {matches: "2.."}}', "matches", "'matches' can never hold here", ""),
    (
        "http",
        '{status: "200"}',
        "status",
        "'status' is a whole number and can never equal '200'",
        "without quotes",
    ),
    ("http", "{status: 200.5}", "status", "can never equal 200.5", ""),
    ("http", "{status: true}", "status", "can never equal true", ""),
    ("http", '{status: {not: "200"}}', "not", "can never equal '200'", ""),
    ("http", '{status: {in: [200, "201"]}}', '"201"', "can never equal '201'", ""),
    ("http", "{status: {all: {above: 1}}}", "all", "'all' can never hold here", ""),
    ("http", "{status: {contains: 2}}", "contains", "'contains' can never hold here", ""),
    ("http", "{body: {above: 3}}", "above", "'above' can never hold here", ""),
    ("http", "{body: {contains: 5}}", "contains", "can never contain 5", "'5'"),
    ("http", "{elapsed: {between: [0, 1], matches: a}}", "matches", "'matches' can never hold", ""),
    (
        "http",
        "{headers: {X-Count: 5}}",
        "X-Count",
        "header 'X-Count' is text and can never equal 5",
        "in quotes",
    ),
    ("http", "{headers: {X-Count: {abov: 5}}}", "abov", "unknown key 'abov' in 'X-Count'", ""),
    ("http", '{json: {"$.a": {contians: 5}}}', "contians", "unknown key 'contians' in '$.a'", "'contains'?"),
    ("http", '{json: {"$.a[*]": 1}}', '"$.a[*]"', "is a list and can never equal 1", "'any'"),
    ("http", '{json: {"$..a": {above: 1}}}', "above", "'above' can never hold here", "several values"),
    ("http", '{json: {"$..a": {count: {matches: x}}}}', "matches", "'matches' can never hold here", ""),
    ("http", '{json: {"$..a..b..c..d": 1}}', '"$..a', "has 4 '..'", ""),
    ("http", "{json: {\"$[?match(@.a, '(?=x)')]\": []}}", '"$[?', "that cannot be used: '(?=x)'", ""),
    (
        "tcp",
        '{connected: "true"}',
        "connected",
        "'connected' is true or false and can never equal 'true'",
        "",
    ),
    ("tcp", "{connected: 1}", "connected", "can never equal 1", ""),
    ("prometheus", "{value: true}", "value", "can never equal true", ""),
    ("prometheus", "{values: 1}", "values", "can never equal 1", "'all'"),
    ("prometheus", "{value: {all: {contains: 1}}}", "contains", "can never contain 1", ""),
    ("http", "{json: {}}", "json", "'json' is empty", ""),
    ("http", "{headers: {}}", "{}", "at least 1 entry", ""),
    ("http", "{status: {not_in: []}}", "[]", "at least 1 entry", ""),
    ("http", '{json: {"$.a": {in: []}}}', "[]", "at least 1 entry", ""),
    ("http", '{headers: {"X A": {exists: false}}}', '"X A"', "'X A' is not a header name", ""),
    ("http", '{headers: {"X-A:": {exists: false}}}', '"X-A:"', "'X-A:' is not a header name", ""),
    (
        "http",
        '{json: {"$.a": {not: {exists: true}}}}',
        "not",
        "must not be, not a matcher",
        "'exists: false'",
    ),
    ("http", '{json: {"$.a": {not: {above: 3}}}}', "not", "must not be, not a matcher", "'at_most'"),
    ("http", "{status: {not: {in: [500]}}}", "not", "must not be, not a matcher", "'not_in'"),
    (
        "http",
        '{json: {"$.a": {all: {not: {contains: b}}}}}',
        "not",
        "must not be, not a matcher",
        "in a list under 'not_in'",
    ),
    ("http", '{json: {"$.a[*]": {all: {exists: true}}}}', "exists", "always exist", "'count'"),
    ("http", '{json: {"$.a[*]": {any: {exists: false}}}}', "exists", "always exist", "'count'"),
    ("http", '{json: {"$.a": {count: {exists: true}}}}', "exists", "always exist", "'count'"),
    ("http", '{json: {"$.a": {count: {at_least: 0}}}}', "at_least", "'at_least' always holds here", ""),
    (
        "http",
        '{json: {"$.a": {count: -1}}}',
        "count",
        "the number of values is at least 0 and can never equal -1",
        "",
    ),
    ("http", "{status: {not: 5000}}", "not", "can never equal 5000", ""),
    ("http", "{status: {not_in: [500, 5023]}}", "5023", "is between 100 and 999", ""),
    ("http", "{status: {below: 5000}}", "below", "'below' always holds here", ""),
    ("http", "{status: {above: 1000}}", "above", "'above' can never hold here", ""),
    ("http", "{status: {between: [2, 3000]}}", "between", "'between' always holds here", ""),
    ("http", "{elapsed: {at_most: -1}}", "at_most", "'at_most' can never hold here", ""),
    ("prometheus", '{value: {not: "0"}}', "not", "numbers are returned as numbers", "without quotes"),
    ("prometheus", '{value: {any: {not: "1e3"}}}', "not", "can never equal '1e3'", "without quotes"),
    ("prometheus", '{values: {all: {not_in: ["0"]}}}', '"0"', "can never equal '0'", "without quotes"),
    ("http", "{status: {exists: false}}", "exists", "'http' always returns 'status'", ""),
    ("tcp", "{elapsed: {below: 1, exists: false}}", "exists", "'tcp' always returns 'elapsed'", ""),
    ("grpc", "{code: OKAY}", "code", "it is one of OK, CANCELLED", "'OK'?"),
    ("grpc", "{code: {not: UNAVALIABLE}}", "not", "can never equal 'UNAVALIABLE'", "'UNAVAILABLE'?"),
    ("container", "{health: {not: unhealty}}", "not", "it is one of starting, healthy", "'unhealthy'?"),
    ("grpc", "{code: {not_in: [OK, ok]}}", "ok", "can never equal 'ok'", ""),
    ("http", '{body: {contains: ""}}', "contains", "'contains' always holds for an empty text", ""),
    ("http", '{body: {matches: ""}}', "matches", "'matches' always holds for an empty pattern", ""),
    (
        "http",
        '{headers: {X-A: {contains: ""}}}',
        "contains",
        "always holds for an empty text",
        "'exists: true'",
    ),
]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("driver", "expect", "at", "message", "hint"), REFUSED)
def test_expectation_that_can_never_hold_or_fail_is_refused_at_its_line(
    place: str, driver: str, expect: str, at: str, *, message: str, hint: str, with_spec: WithSpec
) -> None:
    source = with_spec(place.format(step=PROBES[driver], expect=expect))
    (found,) = find_problems(source)
    assert (found.line, message in found.message, hint in found.hint) == (5, True, True), found
    assert source.splitlines()[4][found.column - 1 :].startswith(at)


TAKEN = [
    (
        "http",
        '{json: {"$.a": {contains: "", matches: ""}}, headers: {X-A: {exists: false}}}',
    ),
    ("prometheus", '{value: {exists: false, any: {contains: ""}}}'),
    ("http", '{status: 200, elapsed: {below: 1}, body: {matches: "^a", exists: true}}'),
    ("http", "{status: {exists: true}, note: {exists: false}, headers: {a: b, c: {contains: d}}}"),
    ("http", '{json: {"$.a": {contains: 1}, "$..b": [], "$.c[*]": {all: {above: 1}, count: 2}}}'),
    ("http", "{status: 200.0}"),
    ("http", "{status: {below: 500, not: 404, between: [200, 600]}, elapsed: {above: 0}}"),
    ("http", '{json: {"$.a": {not: {state: down}, not_in: [{above: 3}], equals: {count: 3}}}}'),
    ("http", '{json: {"$.a": {not: "0"}}, headers: {X_A.b: {not: a}}}'),
    ("prometheus", '{value: {not: "NaN"}, values: {all: {not_in: ["+Inf", abc]}}}'),
    ("prometheus", "{value: {all: {below: 5}, any: 1, count: {at_least: 2}}, values: {contains: 1}}"),
    ("prometheus", '{value: "NaN"}'),
    ("tcp", "{connected: {in: [true, false]}, note: {contains: refused}}"),
]


@pytest.mark.parametrize(("driver", "expect"), TAKEN)
def test_expectation_that_may_hold_is_accepted(driver: str, expect: str, with_spec: WithSpec) -> None:
    source = with_spec(PLACES["a validation"].format(step=PROBES[driver], expect=expect))
    assert find_problems(source) == ()


def test_variable_of_another_type_is_refused(with_spec: WithSpec) -> None:
    look = PLACES["a validation"].format(step=PROBES["http"], expect='{status: "${code}"}')
    assert find_problems(with_spec("variables: {code: {type: integer, default: 200}}\n" + look)) == ()
    (found,) = find_problems(with_spec('variables: {code: {type: string, default: "200"}}\n' + look))
    assert "can never equal '200'" in found.message


def test_sensitive_argument_is_refused_even_if_the_driver_ignores_extra_arguments(
    with_spec: WithSpec,
) -> None:
    class Arguments(BaseModel):
        name: str

    look = PLACES["a validation"].format(step="{own: {name: a, sensitive: true}}", expect="{anything: 1}")
    with pytest.raises(InvalidDocument) as refusal:
        parse_document(with_spec(look), {"own": Arguments})
    (problem,) = refusal.value.problems
    assert (problem.message, problem.hint) == (
        "'sensitive' is not an argument of 'own'",
        "write 'sensitive: true' beside 'own'",
    )


def test_driver_may_have_an_argument_named_sensitive(with_spec: WithSpec) -> None:
    class Arguments(BaseModel):
        sensitive: str

    look = PLACES["a validation"].format(step="{own: {sensitive: high}}", expect="{anything: 1}")
    document = parse_document(with_spec(look), {"own": Arguments})
    (step,) = build_plan(document, {}).steps()
    assert (dict(step.arguments), step.sensitive) == ({"sensitive": "high"}, False)


def test_driver_without_declared_fields_accepts_any_expectation(with_spec: WithSpec) -> None:
    class Arguments(BaseModel):
        name: str

    look = PLACES["a validation"].format(step="{own: {name: a}}", expect="{anything: {above: 1}}")
    assert parse_document(with_spec(look), {"own": Arguments}).name == "sample"
