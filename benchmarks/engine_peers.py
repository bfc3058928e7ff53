"""The same HTTP steps with this engine and with Chaos Toolkit's: `python benchmarks/engine_peers.py`.

Both send requests to the same service on loopback, in turns; both keep their journal in memory. Prints the
median time of a whole step, including its request. There is no goal.
"""

import asyncio
import logging
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chaoslib.experiment import run_experiment

from scenarios.domain.outcomes import Outcome
from scenarios.domain.plan import Action, Phase, Plan, Step
from scenarios.drivers import load_drivers
from scenarios.engine.clock import SystemClock
from scenarios.engine.engine import Engine
from tests.fakes import InMemoryJournal, NoServices
from tests.servers.target import Target, running_target

STEPS = 200
ROUNDS = 5


class OneService(NoServices):
    def __init__(self, address: str) -> None:
        self._address = address

    def address_of(self, service: str) -> str:
        assert service == "target"
        return self._address


def by_this_engine(target: Target) -> float:
    step = Step("http", {"service": "target", "path": "/health"})
    journal = InMemoryJournal()
    engine = Engine(
        Plan("benchmark", (Phase("p", actions=tuple(Action(f"a{n}", do=step) for n in range(STEPS))),)),
        drivers=load_drivers(["scenarios.drivers.http.Http"]),
        platform=OneService(target.url),
        clock=SystemClock(),
        journal=journal,
        ledger=journal,
    )
    started = time.perf_counter()
    verdict = asyncio.run(engine.carry_out())
    seconds = time.perf_counter() - started
    assert verdict.outcome is Outcome.PASSED, verdict
    return seconds / STEPS * 1e6


def by_chaos_toolkit(target: Target) -> float:
    provider = {"type": "http", "url": f"{target.url}/health"}
    method = [{"type": "action", "name": f"a{n}", "provider": provider} for n in range(STEPS)]
    experiment = {"title": "benchmark", "description": "", "method": method}
    started = time.perf_counter()
    journal = run_experiment(experiment)
    seconds = time.perf_counter() - started
    assert journal["status"] == "completed", journal["status"]
    assert len(journal["run"]) == STEPS
    return seconds / STEPS * 1e6


def main() -> int:
    logging.disable(logging.CRITICAL)
    ours, theirs = [], []
    with running_target() as target:
        by_this_engine(target), by_chaos_toolkit(target)  # imports and first connections
        for _ in range(ROUNDS):
            ours.append(by_this_engine(target))
            theirs.append(by_chaos_toolkit(target))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"this engine:   {mine:7.0f} µs per HTTP step")
    print(f"Chaos Toolkit: {peer:7.0f} µs per HTTP step, {peer / mine:.2f} times this engine's")
    return 0


if __name__ == "__main__":
    sys.exit(main())
