"""`type: list`, and `each` of actions, validations and loads."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.plan import Plan
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.language.document import build_plan, parse_document
from scenarios.language.variables import Variable, resolve_values
from scenarios.library.dry_run import list_steps
from scenarios.pictures.plan_timeline import plan_timeline
from tests.unit.scenarios.language.test_built_ins import RUN

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"
HOSTS = "  variables: {hosts: {type: list, default: [a, b]}}\n"
ACT = 'each: {host: "${hosts}"}, do: {http: {service: "${host}"}}'
LOOK = "probe: {http: {service: '${host}'}}, expect: {status: 200}"


def plan(phases: str, variables: str = HOSTS, **given: Any) -> Plan:
    source = f"{HEAD}{variables}  phases: {phases}\n"
    return build_plan(parse_document(source, {"http": HttpArguments}), given, RUN)


def refusal(phases: str, variables: str = HOSTS, **given: Any) -> str:
    with pytest.raises((InvalidDocument, InvalidVariables)) as refused:
        plan(phases, variables, **given)
    return str(refused.value)


def services(built: Plan) -> list[tuple[str, Any]]:
    return [(action.name, action.do.arguments["service"]) for action in built.phases[0].actions]


def test_an_action_is_carried_out_for_each_value() -> None:
    phases = (
        f"[{{name: p, actions: [{{name: first, do: {{http: {{service: x}}}}}}, {{name: break, {ACT}}}]}}]"
    )
    assert services(plan(phases)) == [("first", "x"), ("break [a]", "a"), ("break [b]", "b")]
    assert services(plan(phases, hosts="c"))[1:] == [("break [c]", "c")]


def test_validations_and_loads_are_expanded_too() -> None:
    words = "rate: '${rate}0/s', request: {http: {service: shop}}"
    load = f"  load: [{{name: users, each: {{rate: [1, 2]}}, {words}}}]\n"
    judged = (
        "{name: few errors, each: {n: [1, 2]}, load: 'users [${n}]', expect: {error_rate: {at_most: 1%}}}"
    )
    look = "{name: up, each: {host: '${hosts}'}, " + LOOK + "}"
    built = plan(f"[{{name: p, hold: 20s, validations: [{judged}, {look}]}}]", HOSTS + load)
    assert [(load.name, load.rate) for load in built.loads] == [("users [1]", 10.0), ("users [2]", 20.0)]
    (phase,) = built.phases
    assert [(part.name, part.load) for part in phase.load_validations] == [
        ("few errors [1]", "users [1]"),
        ("few errors [2]", "users [2]"),
    ]
    assert [part.name for part in phase.validations] == ["up [a]", "up [b]"]


def test_each_value_has_a_fault_id_of_its_own_and_numbers_keep_their_type() -> None:
    step = "{http: {service: shop, json: {port: '${port}', id: '${fault.id}'}}}"
    phases = f"[{{name: p, actions: [{{name: a, each: {{port: [80, 443]}}, do: {step}, undo: {step}}}]}}]"
    first, second = plan(phases).phases[0].actions
    bodies = [action.do.arguments["json"] for action in (first, second)]
    assert [body["port"] for body in bodies] == [80, 443]
    assert bodies[0]["id"] == first.fault_id != second.fault_id


def test_dry_run_and_picture_have_an_entry_for_each_value() -> None:
    built = plan(f"[{{name: p, actions: [{{name: break, {ACT}}}]}}]")
    assert [step.name for step in list_steps(built)] == ["break [a]", "break [b]"]
    assert "break [b]" in plan_timeline(built)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("each: {host: []}", "line 6, column 49: 'each' has an empty list: nothing would be done"),
        ("each: {host: [a, a]}", "'each' lists 'a' twice: the names of the entries must differ"),
        ("each: {host: [1, '1']}", "'each' lists '1' twice"),
        ("each: {host: [true]}", "'each' lists true: use text and numbers"),
        ("each: {host: [[a]]}", """'each' lists ["a"]: use text and numbers"""),
        ("each: {host: a}", "'a' is not a list: 'each' takes a list"),
        ("each: {host: [a], port: [1]}", "'each' takes one name and its list"),
        ("each: {}", "'each' takes one name and its list"),
        ("each: {'a[0]': [a]}", "'a[0]' is not a name for the values of 'each'"),
        ("each: {hosts: [a]}", "'hosts' is a variable already: choose another name"),
        ("each: {x: ['${x}']}, when: '${y}'", "'${y}' is undefined"),
        ("each: {x: ['${secret:K}']}", "'${secret:K}' is outside a step"),
        ("each: [a]", "a list is not a mapping"),
    ],
)
def test_an_each_that_is_not_valid_is_refused_at_its_place(words: str, message: str) -> None:
    phases = f"[{{name: p, actions: [{{name: a, {words}, do: {{http: {{service: shop}}}}}}]}}]"
    assert message in refusal(phases)


def test_the_name_is_known_only_in_its_entry() -> None:
    other = "{name: b, do: {http: {service: '${host}'}}}"
    assert "'${host}' is undefined" in refusal(f"[{{name: p, actions: [{{name: a, {ACT}}}, {other}]}}]")


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ("", "variable 'hosts' does not fit where it is used: line 6, column 59: 'each' has an empty list"),
        ("[]", "'each' has an empty list"),
        (["x"] * 2, "'each' lists 'x' twice"),
        ([{}], "variable 'hosts' is [{}], not a list of text and numbers"),
        ("[1", "variable 'hosts' is '[1', not a list of text and numbers"),
        (list(range(1001)), "variable 'hosts' has 1,001 values: at most 1,000 are allowed"),
        (["a\0b"], "variable 'hosts' has a value that is 'a\\x00b', which contains a control character"),
        (["a\nb"], "'break [a\\nb]' contains a line break"),
        (["x" * 200], "is too long: a name has at most 200 characters"),
    ],
)
def test_values_of_a_run_that_do_not_fit_are_refused_by_the_variables_name(hosts: Any, message: str) -> None:
    assert message in refusal(f"[{{name: p, actions: [{{name: break, {ACT}}}]}}]", hosts=hosts)


def test_a_huge_plan_is_refused_before_it_is_built() -> None:
    entries = ", ".join(f"{{name: a{number}, {ACT}}}" for number in range(2))
    hosts = [str(number) for number in range(1000)]
    found = refusal(f"[{{name: p, actions: [{entries}]}}]", hosts=hosts)
    assert "with 1,000 values, the plan would have more than 1,000 steps" in found
    long = f"{{name: a, {ACT}, timeout: 5s, expect: {{body: {{contains: '{'x' * 5000}'}}}}}}"
    found = refusal(f"[{{name: p, actions: [{long}]}}]", hosts=hosts[:100])
    assert "the plan would be longer than 262144 bytes" in found


def test_names_that_clash_after_the_expansion_are_refused() -> None:
    other = "{name: 'a [b]', do: {http: {service: x}}}"
    found = refusal(f"[{{name: p, actions: [{{name: a, {ACT}}}, {other}]}}]")
    assert "duplicate name 'a [b]': another entry has it" in found


def test_a_mistake_in_an_expanded_entry_is_reported_at_its_line() -> None:
    phases = "\n  - name: p\n    actions:\n    - name: a\n      each: {path: [/a, b]}\n"
    phases += "      do: {http: {service: shop, path: '${path}'}}"
    assert "line 11, column 40: 'b' is not a path" in refusal(phases)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        (" a , b,", ["a", "b"]),
        ("80,0.5,007,1e3", [80, 0.5, "007", "1e3"]),
        ('["a,b", 1]', ["a,b", 1]),
        ("true", ["true"]),
    ],
)
def test_a_list_is_read_from_text(text: str, values: list[Any]) -> None:
    assert resolve_values({"x": Variable.model_validate({"type": "list"})}, {"x": text}) == {"x": values}


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ("{type: list, default: [a], min: 1}", "'min' is for integer, number and duration, not for list"),
        ("{type: list, default: a}", "the default is 'a', not a list of text and numbers"),
        ("{type: list, default: [c], choices: [a, b]}", "has a value that is 'c'; choose one of 'a', 'b'"),
        ("{type: list, default: [c1], pattern: '[a-z]+'}", "which does not match the pattern"),
        ("{type: list, default: [a], choices: [[a]]}", """["a"] in 'choices' is not text or a number"""),
    ],
)
def test_the_rules_of_a_list_are_for_each_of_its_values(declared: str, message: str) -> None:
    assert message in refusal("[{name: p}]", f"  variables: {{hosts: {declared}}}\n")


def test_a_list_in_a_text_is_written_with_commas() -> None:
    step = "{http: {service: shop, body: 'hosts=${hosts}', query: {all: '${hosts}'}}}"
    built = plan(f"[{{name: p, actions: [{{name: a, do: {step}}}]}}]")
    arguments = built.phases[0].actions[0].do.arguments
    assert (arguments["body"], arguments["query"]) == ("hosts=a,b", {"all": ["a", "b"]})


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.text("ab${}[] ", min_size=1, max_size=5).filter(str.strip), min_size=1, max_size=4, unique=True
    )
)
def test_values_are_inserted_as_they_are(values: list[str]) -> None:
    step = "{http: {service: shop, body: '${host}'}}"
    built = plan(
        f"[{{name: p, actions: [{{name: a, each: {{host: '${{hosts}}'}}, do: {step}}}]}}]", hosts=values
    )
    assert [action.name for action in built.phases[0].actions] == [f"a [{value}]" for value in values]
    assert [action.do.arguments["body"] for action in built.phases[0].actions] == values
