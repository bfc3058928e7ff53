"""Plans of a few words, carried out in virtual time against a driver that says what it does."""

from typing import Any

from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import Verdict
from scenarios.domain.plan import Action, Phase, Plan, Step
from scenarios.engine.engine import Engine
from tests.fakes import FakeClock, InMemoryJournal, NoServices, ScriptedDriver, run_in_virtual_time

LATE_SECONDS = 30.0
HEALTHY = Expectations({"status": 200})


def say(word: str) -> Step:
    return Step("target", {"say": word})


def fault(name: str, **more: Any) -> Action:
    return Action(name, do=say(f"break {name}"), undo=say(f"mend {name}"), **more)


def make_engine(plan: Plan, driver: ScriptedDriver, journal: InMemoryJournal) -> Engine:
    clock = FakeClock()
    return Engine(
        plan,
        drivers={"target": driver},
        platform=NoServices(),
        clock=clock,
        journal=journal,
        ledger=journal,
        late_seconds=LATE_SECONDS,
    )


def carry_out(
    *phases: Phase, answers: dict[str, Any] | None = None, **plan: Any
) -> tuple[Verdict, InMemoryJournal, ScriptedDriver]:
    journal, driver = InMemoryJournal(), ScriptedDriver(answers=answers or {})
    engine = make_engine(Plan("test", phases, **plan), driver, journal)
    return run_in_virtual_time(engine.carry_out()), journal, driver
