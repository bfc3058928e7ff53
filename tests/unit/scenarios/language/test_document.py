"""Documents: which are refused, where and why, and the plans of valid ones."""

import pytest
from pydantic import BaseModel

from scenarios.domain.errors import InvalidDocument, InvalidVariables
from scenarios.domain.plan import Action, Step, find_services
from scenarios.language.document import build_plan, parse_document
from tests.unit.scenarios.language.documents import Drivers, WithSpec, make_plan, phase_with


def test_complete_example_becomes_a_plan(example: str, drivers: Drivers) -> None:
    document = parse_document(example, drivers)
    plan = build_plan(document, {"delay_ms": 700})
    assert (document.name, document.tags) == ("exchange-latency", ("exchange", "latency"))
    assert document.title == "The exchange answers slowly"
    assert document.source == example
    assert [phase.name for phase in plan.phases] == ["baseline", "chaos", "recovery"]
    assert (plan.timeout, plan.phases[1].hold, plan.guards[0].every) == (300, 10, 1)
    slow_down = plan.phases[1].actions[0]
    assert slow_down.do.arguments["json"] == {"delay_ms": 700}
    assert slow_down.undo is not None
    assert (plan.phases[1].validations[0].within, plan.phases[1].validations[0].every) == (5, 0.5)
    assert plan.phases[1].validations[1].throughout
    assert plan.phases[2].validations[0].hold_for == 3
    assert find_services(plan.steps()) == {"exchange", "risk-monitor"}


TEMPLATED = """
variables: {port: {type: integer}, hold: {type: duration, default: 2s}, text: {type: string, default: x}}
phases:
- name: p
  hold: "${hold}"
  actions:
  - {name: a, do: {tcp: {host: h, port: "${port}"}}}
  - {name: b, do: {http: {service: s, path: "/${port}-${text}-$${text}"}}}
"""


def test_value_that_is_only_a_variable_keeps_its_type(with_spec: WithSpec, drivers: Drivers) -> None:
    plan = make_plan(TEMPLATED, {"port": "8080"}, with_spec, drivers)
    connect = Step("tcp", {"host": "h", "port": 8080})
    ask = Step("http", {"service": "s", "path": "/8080-x-${text}"})
    assert plan.phases[0].actions == (Action(name="a", do=connect), Action(name="b", do=ask))
    assert plan.phases[0].hold == 2


def test_template_in_a_variables_value_is_not_filled_in(with_spec: WithSpec, drivers: Drivers) -> None:
    plan = make_plan(TEMPLATED, {"port": 1, "text": "${port}"}, with_spec, drivers)
    assert plan.phases[0].actions[1].do.arguments["path"] == "/1-${port}-${text}"


def test_variable_without_a_default_is_required(with_spec: WithSpec, drivers: Drivers) -> None:
    with pytest.raises(InvalidVariables, match="'port' has no default"):
        make_plan(TEMPLATED, {}, with_spec, drivers)


def test_value_that_does_not_fit_where_it_is_used_is_refused(with_spec: WithSpec, drivers: Drivers) -> None:
    with pytest.raises(InvalidVariables) as refusal:
        make_plan(TEMPLATED, {"port": 99999}, with_spec, drivers)
    assert "line 10, column" in refusal.value.errors["port"]
    assert "at most 65535" in refusal.value.errors["port"]


def test_error_names_a_driver_that_is_not_installed(example: str) -> None:
    with pytest.raises(
        InvalidDocument, match="unknown driver 'http'; choose one of none, because no driver is installed"
    ):
        parse_document(example, {})


def test_arguments_may_be_a_plain_pydantic_model(with_spec: WithSpec) -> None:
    class Arguments(BaseModel):
        count: int | None

    spec = phase_with("actions: [{name: a, do: {my-driver: {count: x}}}]")
    with pytest.raises(InvalidDocument, match="line 7, column 49: 'x' is not a whole number"):
        parse_document(with_spec(spec), {"my-driver": Arguments})


def test_multiples_of_the_usual_are_read_from_the_regression(with_spec: WithSpec, drivers: Drivers) -> None:
    spec = "regression: {expect: {time_to_recover: {at_most: 2x}, time_to_detect: {at_most: 1.5x}}}\n"
    document = parse_document(with_spec(spec + phase_with("hold: 1s")), drivers)
    assert build_plan(document, {}).regression == {"time_to_detect": 1.5, "time_to_recover": 2.0}
    document = parse_document(with_spec(phase_with("hold: 1s")), drivers)
    assert build_plan(document, {}).regression == {}
