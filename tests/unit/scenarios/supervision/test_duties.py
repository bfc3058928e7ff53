"""Duties go on by themselves: one that hangs or fails delays no other."""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator

import pytest
from django.db import OperationalError

from scenarios.database.connections import DatabaseThread
from scenarios.domain import outages
from scenarios.domain.progress import note_progress
from scenarios.supervision.duties import Carrier, Duty


@pytest.fixture(autouse=True)
def answering_database() -> Iterator[None]:
    """No test begins in the outage of another."""
    yield
    outages.database.note_success()


def duty(name: str, work: Callable[[], object], **options: float) -> Carrier:
    async def call(database: DatabaseThread) -> object:
        return await database.call(work)

    return Carrier(Duty(name, options.pop("every", 0.01), call, **options))


async def carry_out_until(enough: threading.Event, *carriers: Carrier) -> None:
    stop = asyncio.Event()
    going_on = [asyncio.create_task(carrier.go_on(stop)) for carrier in carriers]
    assert await asyncio.to_thread(enough.wait, 60)
    stop.set()
    for carrier in carriers:
        carrier.wake()
    _done, hanging = await asyncio.wait(going_on, timeout=1)
    for task in hanging:
        task.cancel()


class Rounds:
    def __init__(self, wanted: int) -> None:
        self._left = wanted
        self.enough = threading.Event()

    def __call__(self) -> None:
        self._left -= 1
        if not self._left:
            self.enough.set()


async def test_a_duty_that_hangs_delays_no_other() -> None:
    over = threading.Event()
    rounds = Rounds(20)
    await carry_out_until(rounds.enough, duty("hangs", lambda: over.wait(60)), duty("works", rounds))
    over.set()


async def test_a_duty_that_fails_goes_on_and_delays_no_other() -> None:
    rounds = Rounds(20)

    def fail() -> None:
        raise ValueError("odd")

    await carry_out_until(rounds.enough, duty("fails", fail), duty("works", rounds))


async def test_a_failing_duty_is_logged_once_and_again_when_it_succeeds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers: list[Exception | None] = [ValueError("odd"), ValueError("odd"), ValueError("odd"), None, None]
    rounds = Rounds(5)

    def work() -> None:
        rounds()
        if (error := answers.pop(0) if answers else None) is not None:
            raise error

    with caplog.at_level(logging.WARNING):
        await carry_out_until(rounds.enough, duty("odd", work))
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "succeeds again" in caplog.records[-1].message


async def test_an_unavailable_database_is_logged_once_for_all_duties(
    caplog: pytest.LogCaptureFixture,
) -> None:

    async def away(_database: DatabaseThread) -> object:
        raise OperationalError("connection refused")

    carriers = [Carrier(Duty(name, 1.0, away)) for name in ("one", "another")]
    with caplog.at_level(logging.WARNING):
        for carrier in carriers * 3:
            await carrier.round()
    assert [record.getMessage() for record in caplog.records] == [
        "The database does not answer: OperationalError: connection refused"
    ]


async def test_a_failing_duty_waits_longer_each_time_up_to_its_limit() -> None:
    async def away(_database: DatabaseThread) -> object:
        raise OperationalError("connection refused")

    carrier = Carrier(Duty("away", 1.0, away, max_delay=8.0))
    delays = []
    for _ in range(5):
        await carrier.round()
        delays.append(carrier._delay())
    assert delays == [2.0, 4.0, 8.0, 8.0, 8.0]


async def test_a_duty_that_has_not_succeeded_for_long_is_in_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(_database: DatabaseThread) -> object:
        raise OperationalError("connection refused")

    carrier = Carrier(Duty("schedules", 1.0, away))
    await carrier.round()
    assert carrier.trouble() == ""
    carrier._succeeded_at -= 60
    assert carrier.trouble() == "schedules: not done for 60 s (OperationalError: connection refused)"


async def test_a_long_round_that_goes_on_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("scenarios.supervision.duties.time.monotonic", lambda: clock[0])
    seen = []

    def work() -> None:
        clock[0] += 40
        note_progress()
        clock[0] += 20
        seen.append(carrier.trouble())
        clock[0] += 20
        seen.append(carrier.trouble())

    carrier = duty("start schedules", work, every=1.0)
    await carrier.round()
    assert seen == ["", "start schedules: not done for 40 s (it hangs)"]
