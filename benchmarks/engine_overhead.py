"""The overhead of the engine per step: `python benchmarks/engine_overhead.py`; exits with 1 on a miss.

A plan of actions and a plan of validations, whose driver returns at once; journal and ledger are in memory.
Goal: 100 µs of processor time per step.
"""

import asyncio
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import Action, Phase, Plan, Step, Validation
from scenarios.engine.clock import SystemClock
from scenarios.engine.engine import Engine
from tests.fakes import InMemoryJournal, NoServices, ScriptedDriver

STEPS = 1000
ROUNDS = 9
GOAL_MICROSECONDS = 100.0
STEP = Step("target", {"say": "hello"})


def actions() -> tuple[Phase, ...]:
    return (Phase("p", actions=tuple(Action(f"a{n}", do=STEP) for n in range(STEPS))),)


def faults() -> tuple[Phase, ...]:
    """Half as many: each is two steps, do and undo."""
    return (Phase("p", actions=tuple(Action(f"a{n}", do=STEP, undo=STEP) for n in range(STEPS // 2))),)


def validations() -> tuple[Phase, ...]:
    healthy = Expectations({"status": 200})
    return tuple(
        Phase(f"p{n}", validations=(Validation("v", probe=STEP, expect=healthy),)) for n in range(STEPS)
    )


def microseconds_per_step(phases: tuple[Phase, ...]) -> float:
    journal = InMemoryJournal()
    engine = Engine(
        Plan("benchmark", phases),
        drivers={"target": ScriptedDriver()},
        platform=NoServices(),
        clock=SystemClock(),
        journal=journal,
        ledger=journal,
    )
    started = time.process_time()
    verdict = asyncio.run(engine.carry_out())
    seconds = time.process_time() - started
    assert verdict.outcome is Outcome.PASSED, verdict
    return seconds / STEPS * 1e6


def main() -> int:
    missed = 0
    print(f"{'what':<34}{'µs per step':>12}{'goal':>6}")
    for name, phases in (
        ("action", actions()),
        ("fault, do and undo", faults()),
        ("phase with a validation", validations()),
    ):
        median = statistics.median(microseconds_per_step(phases) for _ in range(ROUNDS))
        missed += median > GOAL_MICROSECONDS
        mark = "  MISSED" if median > GOAL_MICROSECONDS else ""
        print(f"{name:<34}{median:>12.1f}{GOAL_MICROSECONDS:>6.0f}{mark}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
