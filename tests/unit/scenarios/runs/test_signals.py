"""A worker that is told to end ends, whenever it is told."""

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType
from typing import cast

import pytest

from scenarios.domain.outcomes import Outcome
from scenarios.engine.engine import Engine
from scenarios.runs.executor import end_on_signals


class EndedEngine:
    def __init__(self) -> None:
        self.ends: list[Outcome] = []

    def end(self, outcome: Outcome, _reason: str) -> None:
        self.ends.append(outcome)


@pytest.fixture
def worker_signals() -> Iterator[list[int]]:
    """The signals that the worker gets, whose handler they have."""
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        received.append(number)

    before = signal.signal(signal.SIGTERM, note)
    yield received
    signal.signal(signal.SIGTERM, before)


async def test_sigterm_in_a_run_ends_the_run_and_then_the_worker(worker_signals: list[int]) -> None:
    engine = EndedEngine()
    with end_on_signals(cast("Engine", engine)):
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(0.05)
        assert engine.ends == [Outcome.INTERRUPTED]
        assert worker_signals == []
    assert worker_signals == [signal.SIGTERM]


async def test_sigterm_after_the_last_turn_of_the_loop_still_ends_the_worker(
    worker_signals: list[int],
) -> None:
    with end_on_signals(cast("Engine", EndedEngine())):
        os.kill(os.getpid(), signal.SIGTERM)
    assert worker_signals == [signal.SIGTERM]
