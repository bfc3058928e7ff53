"""Every look of a validation is noted, whatever came of it."""

import pytest

from scenarios.domain.errors import StepFailed
from scenarios.domain.expectations import Expectations
from scenarios.domain.looks import Look
from scenarios.domain.plan import Phase, Plan, Step, Validation
from scenarios.engine.engine import Engine
from tests.fakes import (
    DAWN,
    FakeClock,
    InMemoryJournal,
    NoServices,
    ScriptedDriver,
    run_in_virtual_time,
)
from tests.unit.scenarios.engine.engine_runs import HEALTHY, say

LAG_IS_LOW = Expectations({"lag": {"below": 5}})


def carry_out(validation: Validation, answers: list[object], *, hold: float = 0.0) -> list[Look]:
    noted: list[Look] = []

    def note(phase: str, of: Validation, look: Look) -> None:
        assert (phase, of) == ("chaos", validation)
        noted.append(look)

    journal = InMemoryJournal()
    engine = Engine(
        Plan("test", (Phase("chaos", hold=hold, validations=(validation,)),)),
        drivers={"target": ScriptedDriver(answers={"look": answers})},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
        note_look=note,
    )
    run_in_virtual_time(engine.carry_out())
    return noted


def test_looks_have_their_answer_and_the_number_that_is_compared() -> None:
    answers = [{"lag": 7}, {"lag": 4.5, "elapsed": 0.25}]
    noted = carry_out(Validation("it catches up", say("look"), LAG_IS_LOW, within=5.0), list(answers))
    assert [(look.holds, look.value) for look in noted] == [(False, 7.0), (True, 4.5)]
    assert noted[1].elapsed == 0.25
    assert noted[1].at - noted[0].at == pytest.approx(1.0)
    assert noted[0].at == DAWN.timestamp()


def test_a_look_without_an_answer_is_noted() -> None:
    answers = [StepFailed("refused"), {"status": 200}]
    noted = carry_out(Validation("it answers", say("look"), HEALTHY, within=5.0), list(answers))
    assert [(look.holds, look.value) for look in noted] == [(False, None), (True, None)]


def test_numbers_of_a_sensitive_probe_are_not_noted() -> None:
    probe = Step("target", {"say": "look"}, sensitive=True)
    (noted,) = carry_out(Validation("the lag is low", probe, LAG_IS_LOW), [{"lag": 3, "elapsed": 0.5}])
    assert (noted.holds, noted.value) == (True, None)
    assert noted.elapsed != 0.5
