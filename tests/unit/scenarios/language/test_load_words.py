"""`load` of `spec`, and validations that judge one: values, bounds, and the sentences about mistakes."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.domain.load_values import Threshold, format_figure, parse_threshold
from scenarios.domain.plan import Limit, Plan
from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan, parse_document
from scenarios.language.schema import json_schema
from tests.servers.coordinator import PROJECT
from tests.servers.documented import Page
from tests.unit.scenarios.language.documents import Drivers

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"
BEFORE = "  - {name: before, hold: 10s}"
EXPECT = "{error_rate: {at_most: 0.1%}, p95: {at_most: 1.5x}, rate: {at_least: 45/s}}"
Problems = Callable[[str | bytes], tuple[Problem, ...]]


def write(
    *,
    load: str = "",
    rate: str = "50/s",
    request: str = "{http: {service: shop, path: '/price/${item}'}}",
    before: str = BEFORE,
    hold: str = "60s",
    validation: str = f"expect: {EXPECT}",
    named: str = "shoppers",
) -> str:
    """A document whose rate is in line 7."""
    return f"""{HEAD}  load:
  - name: shoppers
    rate: {rate}
    request: {request}
    choose: {{item: [book, pen]}}
{load}
  phases:
{before}
  - name: slow
    hold: {hold}
    actions: [{{name: slow it down, do: {{http: {{service: shop, method: POST}}}}}}]
    validations:
    - name: nobody notices
      load: {named}
      {validation}
"""


def read(source: str, drivers: Drivers, given: dict[str, Any] | None = None) -> Plan:
    return build_plan(parse_document(source, drivers), given or {})


def test_a_variable_may_decide_how_long_the_phases_of_a_load_are_held(drivers: Drivers) -> None:
    hold = '"${hold}"'
    source = write(hold=hold, before=f"  - {{name: before, hold: {hold}}}")
    source = source.replace("spec:\n", "spec:\n  variables: {hold: {type: duration, default: 30s}}\n", 1)
    assert [phase.hold for phase in read(source, drivers).phases] == [30.0, 30.0]
    with pytest.raises(InvalidDocument, match="'p95' needs at least 20 requests"):
        read(source, drivers, {"hold": "100ms"})


def test_a_load_and_its_limits_become_a_plan(drivers: Drivers) -> None:
    plan = read(write(), drivers)
    (load,) = plan.loads
    assert (load.name, load.rate, load.timeout, load.choose) == (
        "shoppers",
        50.0,
        5.0,
        {"item": ("book", "pen")},
    )
    assert load.request.arguments == {"service": "shop", "path": "/price/${item}"}
    assert load.request in list(plan.steps_of_actions())
    (judged,) = plan.phases[1].load_validations
    assert set(judged.limits) == {
        Limit("error_rate", "at_most", Threshold(0.001)),
        Limit("p95", "at_most", Threshold(1.5, is_multiple=True)),
        Limit("rate", "at_least", Threshold(45.0)),
    }
    assert plan.phases[1].validations == ()


def test_variables_are_filled_in_and_choices_are_kept(drivers: Drivers) -> None:
    variables = "  variables:\n    rate: {type: string}\n    word: {type: string, default: pen}\n"
    source = write(rate="'${rate}'", request="{http: {service: shop, path: '/${word}/${item}'}}")
    source = source.replace("  load:\n", f"{variables}  load:\n")
    (load,) = read(source, drivers, {"rate": "40/s"}).loads
    assert (load.rate, load.request.arguments["path"]) == (40.0, "/pen/${item}")


def test_the_schema_accepts_loads(drivers: Drivers) -> None:
    judge = Draft202012Validator(json_schema(drivers))
    for validation in (
        f"expect: {EXPECT}",
        "within: 30s\n      for: 3s\n      expect: {max: {below: 1s}}",
        "expect: {error_rate: {below: 0.01, above: '${least}'}}",
    ):
        assert list(judge.iter_errors(yaml.safe_load(write(validation=validation)))) == []
    for wrong in ("expect: {p95: {at_most: 3}}", "expect: {}", "expect: {status: 200}", "expect: {rate: {}}"):
        assert list(judge.iter_errors(yaml.safe_load(write(validation=wrong))))


@pytest.mark.parametrize(
    ("words", "place", "sentence"),
    [
        ({"rate": "50"}, (7, 11), "50 is not a rate: write requests per second, such as '50/s'"),
        ({"rate": "0/s"}, (7, 11), "'0/s' is not allowed: a load sends more than 0/s, and at most 2000/s"),
        ({"rate": "2001/s"}, (7, 11), "at most 2000/s"),
        ({"rate": "300/s", "hold": "1h"}, (7, 5), "send 1,083,000 requests"),
        (
            {"request": "{wait: {duration: 1s}}"},
            (8, 15),
            "a load cannot use 'wait': it sends requests to a server",
        ),
        (
            {"request": "{http: {service: shop, path: '/${itm}'}}"},
            (8, 43),
            "'${itm}' is undefined: 'spec.variables' and 'choose' have item",
        ),
        (
            {"request": "{http: {service: shop, timeout: 1s}}"},
            (8, 37),
            "the load's own 'timeout' limits each request",
        ),
        ({"named": "shopers"}, (18, 7), "unknown load 'shopers'; 'spec.load' has shoppers"),
        (
            {"before": "  - {name: before, actions: [{name: a, do: {wait: {duration: 1s}}}]}"},
            (19, 51),
            "'1.5x' compares with the phases before the first action, and there is none",
        ),
        (
            {"hold": "1s", "validation": "expect: {p99: {below: 1s}}"},
            (19, 16),
            "'p99' needs at least 100 requests, and the phase of 1s at 50/s has 50",
        ),
        (
            {"validation": "expect: {p95: {below: 1s}, p99: {below: 1s}}\n      within: 9s", "rate": "10/s"},
            (19, 34),
            "'p99' needs at least 100 requests, and a window of 5s at 10/s has 50",
        ),
        (
            {"before": "  - {name: before, hold: 200ms}"},
            (19, 51),
            "'p95' needs at least 20 requests, and the baseline of 200ms at 50/s has 10",
        ),
        (
            {"validation": "expect: {p95: {below: 1s}}\n      within: 2s"},
            (20, 7),
            "'within' must be at least 5s here: a load is judged by its last 5s",
        ),
        (
            {"validation": "expect: {error_rate: {below: 150%}}"},
            (19, 36),
            "'150%' is not a share: it is outside 0% to 100%",
        ),
        (
            {"validation": "expect: {p95: {below: 3}}"},
            (19, 29),
            "3 is a number without a unit, not a duration",
        ),
        (
            {"validation": "expect: {error_rate: {at_most: 100%}}"},
            (19, 29),
            "'at_most: 100%' always holds here: an error rate is between 0 and 1",
        ),
        ({"validation": "expect: {error_rate: {below: 0}}"}, (19, 29), "'below: 0' can never hold here"),
        (
            {"validation": "expect: {rate: {at_least: 0/s}, p95: {at_least: 0s}}"},
            (19, 23),
            "'at_least: 0/s' always holds here: a rate is at least 0",
        ),
        ({"validation": "expect: {status: 200}"}, (19, 16), "unknown key 'status'"),
        ({"validation": "expect: {}"}, (19, 7), "'expect' is empty: name a figure and its limit"),
        (
            {"load": "    timeout: 1h", "hold": "1m"},
            (7, 5),
            "at 50/s with a timeout of 1h, 180,000 requests may wait at once; at most 10,000 may",
        ),
        (
            {"load": "  - {name: shoppers, rate: 1/s, request: {http: {service: shop}}}"},
            (10, 12),
            "duplicate name 'shoppers': another load has it",
        ),
    ],
)
def test_a_mistake_is_named_at_its_place(
    problems: Problems, words: dict[str, str], place: tuple[int, int], sentence: str
) -> None:
    found = [
        (problem.line, problem.column, f"{problem.message} {problem.hint}")
        for problem in problems(write(**words))
    ]
    assert [entry for entry in found if sentence in entry[2]], found
    assert place in [entry[:2] for entry in found if sentence in entry[2]], found


def test_a_document_has_at_most_ten_loads(problems: Problems) -> None:
    more = "\n".join(
        f"  - {{name: load {number}, rate: 1/s, request: {{http: {{service: shop}}}}}}"
        for number in range(10)
    )
    assert "10" in problems(write(load=more))[0].message


def test_a_choice_may_not_hide_a_variable(problems: Problems) -> None:
    source = write().replace("  load:\n", "  variables: {item: {type: string, default: a}}\n  load:\n")
    assert "'item' is a variable already: choose another name" in problems(source)[0].message


@pytest.mark.parametrize(
    ("figure", "text", "threshold", "shown"),
    [
        ("p95", "300ms", 0.3, "300ms"),
        ("error_rate", "0.1%", 0.001, "0.1%"),
        ("error_rate", 0.001, 0.001, "0.1%"),
        ("rate", "45.5/s", 45.5, "45.5/s"),
    ],
)
def test_values_are_shown_as_they_are_written(
    figure: str, text: object, threshold: float, shown: str
) -> None:
    assert parse_threshold(text, figure).value == pytest.approx(threshold)
    assert format_figure(figure, threshold) == shown


def test_the_guide_shows_a_document_that_is_valid() -> None:
    page = Page(PROJECT / "docs" / "loads.md")
    (block,) = page.blocks("yaml")
    plan = build_plan(read_document(block), {})
    assert [len(phase.load_validations) for phase in plan.phases] == [0, 2, 1]
