"""Documents, carried out in virtual time against a driver that says what it does."""

from typing import Any

from scenarios.domain.outcomes import Verdict
from scenarios.engine.engine import Engine
from scenarios.language.document import build_plan, parse_document
from tests.fakes import (
    FakeClock,
    InMemoryJournal,
    NoServices,
    ScriptedDriver,
    TargetCall,
    run_in_virtual_time,
)

HEAD = "apiVersion: coordinator/v1\nkind: Scenario\nmetadata: {name: sample}\nspec:\n"
GOOD, BAD = {"status": 200}, {"status": 503}
LOOK = "probe: {target: {say: look}}, expect: {status: 200}"


def carry_out_document(
    spec: str, answers: dict[str, Any] | None = None, variables: dict[str, Any] | None = None
) -> tuple[Verdict, InMemoryJournal, list[str]]:
    source = HEAD + "".join(f"  {line}\n" for line in spec.strip().splitlines())
    plan = build_plan(parse_document(source, {"target": TargetCall}), variables or {})
    journal, driver = InMemoryJournal(), ScriptedDriver(answers=answers or {})
    engine = Engine(
        plan,
        drivers={"target": driver},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
    )
    return run_in_virtual_time(engine.carry_out()), journal, driver.said
