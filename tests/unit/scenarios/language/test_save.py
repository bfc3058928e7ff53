"""`save` and `${saved.NAME}`: what a document may save, and where it may use it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenarios.domain.errors import InvalidDocument, StepImpossible
from scenarios.domain.json_queries import Budget, QueryTooLargeError
from scenarios.domain.late_references import read_parts, write_parts
from scenarios.domain.plan import Plan
from scenarios.domain.saved_values import (
    MAX_SAVED_CHARACTERS,
    hide_secrets,
    insert_saved,
    select_saved,
    unescape_saved,
)
from scenarios.domain.templates import insert_secrets
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.language.document import build_plan, parse_document
from scenarios.library.dry_run import list_steps
from scenarios.pictures.plan_timeline import plan_timeline

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n  phases:\n"
ORDER = 'do: {http: {service: shop, method: POST, path: /orders}}, save: {order: "$.id"}'
LOOK = 'probe: {http: {service: shop, path: "/orders/${saved.order}"}}, expect: {status: 200}'


def plan(phases: str, **given: Any) -> Plan:
    return build_plan(parse_document(f"{HEAD}{phases}\n", {"http": HttpArguments}), given)


def refusal(phases: str) -> str:
    with pytest.raises(InvalidDocument) as refused:
        plan(phases)
    return str(refused.value)


def act(words: str) -> str:
    return f"  - {{name: p, actions: [{{name: a, {words}}}]}}"


def test_saved_values_are_used_by_the_undo_and_by_later_steps() -> None:
    undo = 'undo: {http: {service: shop, method: DELETE, path: "/orders/${saved.order}"}}'
    phases = f"  - {{name: p, actions: [{{name: a, {ORDER}, {undo}}}], validations: [{{name: v, {LOOK}}}]}}"
    (phase,) = plan(phases).phases
    assert phase.actions[0].save == {"order": "$.id"}
    assert phase.validations[0].probe.arguments["path"] == "/orders/${saved.order}"


def test_dry_run_and_picture_say_what_is_saved() -> None:
    built = plan(act(ORDER))
    assert [step.note for step in list_steps(built)] == ["saves 'order'"]
    assert "a, saves order" in plan_timeline(built)


@pytest.mark.parametrize(
    ("phases", "message"),
    [
        (
            act('do: {http: {service: shop}}, save: {"a[0]": status}'),
            "'a[0]' is not a name for a saved value",
        ),
        (act('do: {http: {service: shop}}, save: {a: "$.["}'), "'$.[' is not a JSONPath"),
        (
            act("do: {http: {service: shop}}, save: {a: statsu}"),
            "does not return 'statsu'; it returns status",
        ),
        (
            act("do: {http: {service: shop}}, save: {}"),
            "an empty mapping is not allowed: it must have at least 1 entry",
        ),
        (act("do: {http: {service: shop}}, save: {a: 3}"), "3 is not text"),
        (
            f"  - {{name: p, validations: [{{name: v, {LOOK}}}]}}",
            "line 6, column 75: '${saved.order}' is not saved by any step before this one (write 'save'",
        ),
        (
            (
                f"  - {{name: p, actions: [{{name: a, {ORDER.replace('order:', 'ordre:')}}}],"
                f" validations: [{{name: v, {LOOK}}}]}}"
            ),
            "'${saved.order}' is not saved by any step before this one (did you mean 'ordre'?)",
        ),
        (
            f"  - {{name: p, actions: [{{name: a, at: 1s, {ORDER}}}], validations: [{{name: v, {LOOK}}}]}}",
            "'${saved.order}' is not saved by any step before this one",
        ),
        (
            act('do: {http: {service: shop, path: "/${saved.x}"}}, save: {x: body}'),
            "not saved by any step before",
        ),
        (
            (
                f"  - {{name: p, actions: [{{name: a, {ORDER}}},"
                " {name: b, do: {http: {service: '${saved.order}'}}}]}"
            ),
            "'${saved.order}' would decide where the step goes (write the target itself",
        ),
        (
            (
                f"  - {{name: p, actions: [{{name: a, {ORDER}}},"
                " {name: b, do: {http: {url: 'http://${saved.order}:80/'}}}]}"
            ),
            "'${saved.order}' would decide where the step goes",
        ),
        (
            (
                f"  - {{name: p, actions: [{{name: a, {ORDER}}},"
                " {name: b, do: {http: {url: 'http://a.b${saved.order}'}}}]}"
            ),
            "'${saved.order}' would decide where the step goes",
        ),
        (
            f"  - {{name: p, actions: [{{name: a, {ORDER}}}]}}\n  - {{name: '${{saved.order}}'}}",
            "outside a step",
        ),
        (
            f"  - {{name: p, actions: [{{name: a, {ORDER}}}]}}\n  - {{name: q, hold: '${{saved.order}}'}}",
            "'${saved.order}' is outside a step of a phase",
        ),
        (
            act(f"{ORDER}, undo: {{http: {{service: shop, path: '/${{saved.${{saved.order}}}}'}}}}"),
            "is not closed",
        ),
        (
            act(f"{ORDER}, undo: {{http: {{service: shop, path: '/${{saved.a b}}'}}}}"),
            "not name a saved value",
        ),
        (
            act(f"{ORDER}, undo: {{http: {{service: shop, path: '/${{\u0455aved.order}}'}}}}"),
            "not name a variable",
        ),
        (
            act(
                "do: {sensitive: true, http: {service: shop}}, save: {token: body},"
                " undo: {http: {service: shop, path: '/${saved.token}'}}"
            ),
            "'${saved.token}' comes from a sensitive step, of which the ledger keeps nothing",
        ),
        (
            (
                "  - {name: p, validations: [{name: v, throughout: true, probe: {http: {service: shop}},"
                " expect: {status: 200}, save: {a: body}}]}"
            ),
            "'save' and 'throughout' cannot be combined",
        ),
    ],
)
def test_invalid_save_or_use_is_refused_at_its_place(phases: str, message: str) -> None:
    found = refusal(phases)
    assert message in found
    assert found.startswith("line ")


def test_a_guard_looks_before_anything_is_saved() -> None:
    guard = (
        'guards: [{name: g, probe: {http: {service: shop, path: "/${saved.order}"}}, expect: {status: 200}}]'
    )
    assert "'${saved.order}' is outside a step of a phase" in refusal(f"{act(ORDER)}\n  {guard}")


def test_a_url_may_end_with_a_saved_value() -> None:
    again = "{name: b, do: {http: {url: 'http://a.b/${saved.order}'}}}"
    built = plan(f"  - {{name: p, actions: [{{name: a, {ORDER}}}, {again}]}}")
    assert built.phases[0].actions[1].do.arguments["url"] == "http://a.b/${saved.order}"


def test_a_number_can_be_a_saved_value_and_keeps_its_type() -> None:
    again = "{name: b, do: {http: {service: shop, json: {id: '${saved.order}'}}}}"
    arguments = (
        plan(f"  - {{name: p, actions: [{{name: a, {ORDER}}}, {again}]}}").phases[0].actions[1].do.arguments
    )
    assert insert_saved(arguments, {"order": 7})["json"] == {"id": 7}


FIELDS = {"status": 201, "json": {"id": 7, "list": [{"a": 1}, {"a": 2}], "null": None, "nul": "a\0b"}}


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("status", 201),
        ("$.id", 7),
        ("$.list[*].a", [1, 2]),
        ("$.none[*]", []),
        ("$.null", None),
        ("$.list[1]", {"a": 2}),
    ],
)
def test_a_field_or_a_query_is_saved(source: str, value: Any) -> None:
    assert select_saved({"x": source}, FIELDS, Budget()) == ({"x": value}, [])


@pytest.mark.parametrize(
    ("source", "fields", "reason"),
    [
        ("$.order", FIELDS, "'x' cannot be saved: '$.order' selects nothing"),
        ("$.id", {"body": "no"}, "'x' cannot be saved: the answer is not JSON"),
        ("note", FIELDS, "there is no 'note' in the answer"),
        ("$.nul", FIELDS, "what '$.nul' selects has a NUL"),
        (
            "$",
            {"json": "x" * MAX_SAVED_CHARACTERS},
            "what '$' selects has 10,002 characters; the limit is 10,000",
        ),
        ("body", {"body": "\ud800"}, "cannot be stored otherwise"),
    ],
)
def test_missing_or_too_large_value_is_explained_in_a_sentence(
    source: str, fields: dict[str, Any], reason: str
) -> None:
    values, (sentence,) = select_saved({"x": source}, fields, Budget())
    assert values == {}
    assert reason in sentence


def test_a_query_of_a_million_nodes_is_too_large() -> None:
    with pytest.raises(QueryTooLargeError):
        select_saved({"x": "$..*"}, {"json": [[0] * 1000] * 1000}, Budget())


@pytest.mark.parametrize("value", [None, {"a": 1}, [1]])
def test_only_scalars_are_parts_of_a_text(value: Any) -> None:
    assert insert_saved("${saved.x}", {"x": value}) == value
    with pytest.raises(StepImpossible, match="only text, numbers and booleans can be a part of a text"):
        insert_saved("a ${saved.x}", {"x": value})


def test_saved_values_cannot_make_a_step_huge() -> None:
    with pytest.raises(StepImpossible, match="more than 262,144 characters of saved values"):
        insert_saved("${saved.x} " * 1000, {"x": "a" * 1000})


PIECES = ("$", "{", "}", "saved.", "secret:", "x", "${saved.x}", "${secret:K}", "$${", "{saved.x}")
TEXTS = st.lists(st.sampled_from(PIECES), max_size=7).map("".join)


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_an_answer_is_never_read_as_a_reference(value: str) -> None:
    filled = unescape_saved(insert_saved("${saved.x}${secret:K}${saved.x}", {"x": value}))
    assert insert_secrets(filled, lambda _name: "S") == f"{value}S{value}"


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_text_that_only_looks_like_a_reference_stays(text: str) -> None:
    escaped = write_parts([text])
    assert "".join(map(str, read_parts(escaped))) == text
    filled = unescape_saved(insert_saved(escaped, {"x": "1"}))
    assert insert_secrets(filled, lambda _name: "S") == text


@settings(deadline=None, max_examples=300)
@given(TEXTS)
def test_a_secret_in_a_saved_value_is_a_reference_again_in_the_ledger(text: str) -> None:
    stored = hide_secrets(insert_saved("${saved.x}", {"x": f"{text}hunter2{text}"}), {"hunter2": "KEY"})
    assert "hunter2" not in stored
    assert insert_secrets(unescape_saved(stored), {"KEY": "hunter2"}.__getitem__) == f"{text}hunter2{text}"
