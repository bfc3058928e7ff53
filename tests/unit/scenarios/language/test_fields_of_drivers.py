"""What is expected is checked against what the drivers declare to return."""

import pytest
from pydantic import BaseModel

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.domain.results import read_returned_fields
from scenarios.drivers import load_drivers
from scenarios.language.document import parse_document
from tests.unit.scenarios.language.documents import WithSpec

SHIPPED = ("command.Command", "http.Http", "prometheus.Prometheus", "signal.Signal", "tcp.Tcp", "wait.Wait")
DRIVERS = {
    name: driver.Arguments
    for name, driver in load_drivers(
        f"scenarios.drivers.{path}" for path in (*SHIPPED, "chaostoolkit.ChaosToolkit")
    ).items()
}
PROBES = {
    "http": "{http: {service: s}}",
    "prometheus": "{prometheus: {query: up}}",
    "tcp": "{tcp: {service: s}}",
    "wait": "{wait: {duration: 1s}}",
}
PLACES = {
    "a validation": "phases: [{{name: p, validations: [{{name: v, probe: {step}, expect: {expect}}}]}}]",
    "a guard": "guards: [{{name: g, probe: {step}, expect: {expect}}}]\nphases: [{{name: p}}]",
    "an action": "phases: [{{name: p, actions: [{{name: a, do: {step}, expect: {expect}}}]}}]",
}


def problems_of(source: str) -> tuple[Problem, ...]:
    try:
        parse_document(source, DRIVERS)
    except InvalidDocument as refusal:
        return refusal.problems
    return ()


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_shipped_driver_declares_what_it_returns(driver: str) -> None:
    assert read_returned_fields(DRIVERS[driver])


# The driver, what is expected, the text at the place of the problem, words of its message and its hint.
REFUSED = [
    ("http", "{staus: {exists: false}}", "staus", "'staus' is not returned by 'http'", "'status'?"),
    ("tcp", "{conected: true}", "conected", "'conected' is not returned by 'tcp'", "'connected'?"),
    ("tcp", '{json: {"$.a": 1}}', "json", "'json' is not returned by 'tcp'", ""),
    ("wait", "{headers: {a: b}}", "headers", "'headers' is not returned by 'wait'", ""),
    ("prometheus", "{valeu: 1}", "valeu", "'valeu' is not returned by 'prometheus'", "'value'?"),
    ("http", '{status: {matches: "2.."}}', "matches", "'matches' never holds here", ""),
    ("http", '{status: "200"}', "status", "'200' is never equal to 'status'", "without quotes"),
    ("http", "{status: 200.5}", "status", "200.5 is never equal", ""),
    ("http", "{status: true}", "status", "true is never equal", ""),
    ("http", '{status: {not: "200"}}', "not", "'200' is never equal", ""),
    ("http", '{status: {in: [200, "201"]}}', '"201"', "'201' is never equal", ""),
    ("http", "{status: {all: {above: 1}}}", "all", "'all' never holds here", ""),
    ("http", "{status: {contains: 2}}", "contains", "'contains' never holds here", ""),
    ("http", "{body: {above: 3}}", "above", "'above' never holds here", ""),
    ("http", "{body: {contains: 5}}", "contains", "5 is never contained in 'body'", "'5'"),
    ("http", "{elapsed: {between: [0, 1], matches: a}}", "matches", "'matches' never holds", ""),
    ("http", "{headers: {X-Count: 5}}", "X-Count", "5 is never equal to header 'X-Count'", "in quotes"),
    ("http", "{headers: {X-Count: {abov: 5}}}", "abov", "'abov' is unknown in 'X-Count'", ""),
    ("http", '{json: {"$.a": {contians: 5}}}', "contians", "'contians' is unknown in '$.a'", "'contains'?"),
    ("http", '{json: {"$.a[*]": 1}}', '"$.a[*]"', "1 is never equal to JSON at '$.a[*]'", "'any'"),
    ("http", '{json: {"$..a": {above: 1}}}', "above", "'above' never holds here", "several values"),
    ("http", '{json: {"$..a": {count: {matches: x}}}}', "matches", "'matches' never holds here", ""),
    ("http", '{json: {"$..a..b..c..d": 1}}', '"$..a', "has 4 '..'", ""),
    ("http", "{json: {\"$[?match(@.a, '(?=x)')]\": []}}", '"$[?', "that cannot be used: '(?=x)'", ""),
    ("tcp", '{connected: "true"}', "connected", "'true' is never equal to 'connected'", ""),
    ("tcp", "{connected: 1}", "connected", "1 is never equal to 'connected'", ""),
    ("prometheus", "{value: true}", "value", "true is never equal to 'value'", ""),
    ("prometheus", "{values: 1}", "values", "1 is never equal to 'values'", "'all'"),
    ("prometheus", "{value: {all: {contains: 1}}}", "contains", "1 is never contained", ""),
    ("http", "{json: {}}", "json", "'json' is empty", ""),
    ("http", "{headers: {}}", "{}", "at least 1 entry", ""),
    ("http", "{status: {not_in: []}}", "[]", "at least 1 entry", ""),
    ("http", '{json: {"$.a": {in: []}}}', "[]", "at least 1 entry", ""),
    ("http", '{headers: {"X A": {exists: false}}}', '"X A"', "'X A' is no header name", ""),
    ("http", '{headers: {"X-A:": {exists: false}}}', '"X-A:"', "'X-A:' is no header name", ""),
    ("http", '{json: {"$.a": {not: {exists: true}}}}', "not", "and no matcher", "'exists: false'"),
    ("http", '{json: {"$.a": {not: {above: 3}}}}', "not", "and no matcher", "'at_most'"),
    ("http", "{status: {not: {in: [500]}}}", "not", "and no matcher", "'not_in'"),
    ("http", '{json: {"$.a": {all: {not: {contains: b}}}}}', "not", "and no matcher", "'not_in', in a list"),
    ("http", '{json: {"$.a[*]": {all: {exists: true}}}}', "exists", "is always there", "'count'"),
    ("http", '{json: {"$.a[*]": {any: {exists: false}}}}', "exists", "is always there", "'count'"),
    ("http", '{json: {"$.a": {count: {exists: true}}}}', "exists", "is always there", "'count'"),
    ("http", '{json: {"$.a": {count: {at_least: 0}}}}', "at_least", "'at_least' always holds here", ""),
    ("http", '{json: {"$.a": {count: -1}}}', "count", "-1 is never equal to a number of values", ""),
    ("http", "{status: {not: 5000}}", "not", "5000 is never equal to 'status'", ""),
    ("http", "{status: {not_in: [500, 5023]}}", "5023", "which is between 100 and 999", ""),
    ("http", "{status: {below: 5000}}", "below", "'below' always holds here", ""),
    ("http", "{status: {above: 1000}}", "above", "'above' never holds here", ""),
    ("http", "{status: {between: [2, 3000]}}", "between", "'between' always holds here", ""),
    ("http", "{elapsed: {at_most: -1}}", "at_most", "'at_most' never holds here", ""),
    ("prometheus", '{value: {not: "0"}}', "not", "it is text, and numbers come as numbers", "without quotes"),
    ("prometheus", '{value: {any: {not: "1e3"}}}', "not", "'1e3' is never equal", "without quotes"),
    ("prometheus", '{values: {all: {not_in: ["0"]}}}', '"0"', "'0' is never equal", "without quotes"),
]


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("driver", "expect", "at", "message", "hint"), REFUSED)
def test_what_can_never_hold_is_refused_at_its_line(
    place: str, driver: str, expect: str, at: str, *, message: str, hint: str, with_spec: WithSpec
) -> None:
    source = with_spec(place.format(step=PROBES[driver], expect=expect))
    (found,) = problems_of(source)
    assert (found.line, message in found.message, hint in found.hint) == (5, True, True), found
    assert source.splitlines()[4][found.column - 1 :].startswith(at)


TAKEN = [
    ("http", '{status: 200, elapsed: {below: 1}, body: {matches: "^a", exists: true}}'),
    ("http", "{status: {exists: false}, note: {exists: false}, headers: {a: b, c: {contains: d}}}"),
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
def test_what_may_hold_is_taken(driver: str, expect: str, with_spec: WithSpec) -> None:
    source = with_spec(PLACES["a validation"].format(step=PROBES[driver], expect=expect))
    assert problems_of(source) == ()


def test_a_variable_of_another_type_is_refused_once_it_is_known(with_spec: WithSpec) -> None:
    look = PLACES["a validation"].format(step=PROBES["http"], expect='{status: "${code}"}')
    assert problems_of(with_spec("variables: {code: {type: integer, default: 200}}\n" + look)) == ()
    (found,) = problems_of(with_spec('variables: {code: {type: string, default: "200"}}\n' + look))
    assert "'200' is never equal to 'status'" in found.message


def test_a_driver_that_declares_nothing_is_free(with_spec: WithSpec) -> None:
    class Arguments(BaseModel):
        name: str

    look = PLACES["a validation"].format(step="{own: {name: a}}", expect="{anything: {above: 1}}")
    assert parse_document(with_spec(look), {"own": Arguments}).name == "sample"
