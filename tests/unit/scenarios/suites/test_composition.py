"""The document of a cell: a scenario of the catalogue that looks at the service as the suite does."""

import pytest

from scenarios.domain.plan import Plan
from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan
from scenarios.suites.composition import LOAD_RECOVERS, LOAD_SUCCEEDS, MAY_FAIL, MUST_SURVIVE, compose_cell
from scenarios.suites.documents import SuiteDocument
from scenarios.suites.faults import FAULT_BY_NAME, FAULTS, KINDS
from tests.unit.scenarios.suites.suite_texts import CATALOGUE, SHOP, parse

URL = "tcp://127.0.0.1:5432"
PLACES = "host: shop-1, unit: shop.service, folder: /var/tmp"
CELLS = [
    (fault.name, kind, must)
    for fault in FAULTS
    for kind in KINDS
    if fault.find_scenario(kind)
    for must in ("survive", "fail")
]


def read_suite_of(kind: str, must: str, more: str = "") -> SuiteDocument:
    text = SHOP.replace("kind: postgresql, must: fail", f"kind: {kind}, must: {must}, {PLACES}{more}")
    return parse(text)


def plan_cell(suite: SuiteDocument, fault: str) -> Plan:
    dependency, chosen = suite.spec.depends_on[0], FAULT_BY_NAME[fault]
    scenario = (CATALOGUE / f"{chosen.find_scenario(dependency.kind)}.yaml").read_text()
    made = compose_cell(suite, dependency, chosen, scenario, URL)
    plan = build_plan(read_document(made.source), made.variables)
    assert made.fault_phases == tuple(phase.name for phase in plan.phases if phase.actions)
    return plan


@pytest.mark.parametrize(("fault", "kind", "must"), CELLS)
def test_each_cell_is_a_valid_scenario_that_breaks_its_dependency(fault: str, kind: str, must: str) -> None:
    plan = plan_cell(read_suite_of(kind, must), fault)
    targets = [action.do.arguments for phase in plan.phases for action in phase.actions]
    assert targets
    assert all("shop-db" in str(target) or "shop-1" in str(target) for target in targets)
    asked = [
        v for phase in plan.phases for v in phase.validations if v.probe.arguments.get("service") == "shop"
    ]
    assert {validation.probe.arguments["path"] for validation in asked} == {"/price"}
    assert plan.scenario == FAULT_BY_NAME[fault].find_scenario(kind)
    (load,) = plan.loads
    assert load.rate == 20


def test_users_must_notice_nothing_while_a_dependency_is_broken_that_must_be_survived() -> None:
    plan = plan_cell(read_suite_of("http", "survive"), "hanging")
    phase = next(phase for phase in plan.phases if phase.actions)
    look = next(validation for validation in phase.validations if validation.name == MUST_SURVIVE)
    assert (look.throughout, look.success) == (True, 1.0)
    assert [judged.name for judged in phase.load_validations] == [LOAD_SUCCEEDS]
    assert phase.actions[0].at is None
    assert phase.hold == 5


def test_a_service_that_may_fail_is_looked_at_before_its_fault_so_that_a_failure_fails_no_run() -> None:
    plan = plan_cell(read_suite_of("http", "fail"), "hanging")
    phase = next(phase for phase in plan.phases if phase.actions)
    look = next(validation for validation in phase.validations if validation.name == MAY_FAIL)
    assert look.success is not None
    assert 0 < look.success < 0.001
    assert phase.actions[0].at == 1
    assert phase.hold == 6
    assert not phase.load_validations


def test_the_service_must_be_healthy_again_within_the_time_of_the_suite() -> None:
    plan = plan_cell(read_suite_of("http", "fail"), "slow")
    (again,) = plan.phases[-1].validations
    assert (again.within, again.expect) == (10, plan.phases[0].validations[0].expect)


def test_recovery_under_load_judges_the_requests_of_users_after_the_fault() -> None:
    plan = plan_cell(read_suite_of("http", "fail"), "recovery-under-load")
    assert [judged.name for judged in plan.phases[-1].load_validations] == [LOAD_RECOVERS]


def test_variables_of_the_dependency_are_those_of_the_scenario_that_has_them() -> None:
    suite = read_suite_of("postgresql", "fail", ", variables: {latency: 2s, table: prices}")
    slow = plan_cell(suite, "slow")
    assert slow.phases[1].actions[0].do.arguments["latency"] == "2s"
    locked = plan_cell(suite, "locked")
    assert locked.phases[1].actions[0].do.arguments["lock"] == {"table": "prices"}


def test_a_multiple_of_the_baseline_has_a_baseline() -> None:
    text = SHOP.replace("rate: 20/s,", "rate: 20/s, expect: {p95: {at_most: 3x}},").replace(
        "must: fail", "must: survive"
    )
    plan = plan_cell(parse(text), "slow")
    assert plan.phases[0].hold == 5
