"""Events of one moment are written together, in order, and each is durable when its recorder goes on."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from scenarios.domain.errors import LeaseLost
from scenarios.domain.event_kinds import EventKind
from scenarios.ports import Event
from scenarios.runs.event_queue import MAX_BATCH, EventQueue

AT = datetime(2026, 1, 1, tzinfo=UTC)


class Written:
    """A journal in memory that yields to the loop while it writes, as a database does."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.fails: Exception | None = None

    async def write(self, events: Sequence[Event]) -> None:
        await asyncio.sleep(0)
        if self.fails is not None:
            raise self.fails
        self.batches.append([event.subject for event in events])

    @property
    def subjects(self) -> list[str]:
        return [subject for batch in self.batches for subject in batch]


def event(subject: object) -> Event:
    return Event(EventKind.PHASE_STARTED, AT, subject=str(subject))


async def test_events_of_one_moment_are_written_together_and_in_order() -> None:
    written = Written()
    queue = EventQueue(written.write)
    await asyncio.gather(*(queue.record(event(number)) for number in range(2000)))
    assert written.subjects == [str(number) for number in range(2000)]
    assert len(written.batches) < 100
    assert max(map(len, written.batches)) <= MAX_BATCH


async def test_an_event_is_written_when_its_recorder_goes_on() -> None:
    written = Written()
    queue = EventQueue(written.write)

    async def record(number: int) -> None:
        await queue.record(event(number))
        assert str(number) in written.subjects

    await asyncio.gather(*(record(number) for number in range(100)))


async def test_a_change_of_a_fault_keeps_its_place_among_the_events() -> None:
    written = Written()
    queue = EventQueue(written.write)

    async def open_fault() -> str:
        await written.write([event("fault")])
        return "opened"

    async def in_turn() -> None:
        await asyncio.gather(queue.record(event("a")), queue.call(open_fault), queue.record(event("b")))

    await in_turn()
    assert written.batches == [["a"], ["fault"], ["b"]]


async def test_a_cancelled_caller_does_not_affect_events_of_others() -> None:
    written = Written()
    queue = EventQueue(written.write)
    tasks = [asyncio.create_task(queue.record(event(number))) for number in range(50)]
    await asyncio.sleep(0)  # the first write is under way
    for task in tasks[::2]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    odd = [str(number) for number in range(1, 50, 2)]
    assert [subject for subject in written.subjects if subject in odd] == odd
    await queue.record(event("next"))
    assert written.subjects[-1] == "next"


async def test_a_lost_lease_is_raised_for_all_waiting_callers_and_nothing_is_written() -> None:
    written = Written()
    written.fails = LeaseLost("fence 1 is no longer valid")
    queue = EventQueue(written.write)
    results = await asyncio.gather(
        *(queue.record(event(number)) for number in range(100)), return_exceptions=True
    )
    assert all(isinstance(result, LeaseLost) for result in results)
    assert written.batches == []


async def test_another_error_is_raised_only_for_the_callers_of_its_batch() -> None:
    written = Written()
    queue = EventQueue(written.write)
    written.fails = ValueError("no")
    with pytest.raises(ValueError, match="no"):
        await queue.record(event("a"))
    written.fails = None
    await queue.record(event("b"))
    assert written.subjects == ["b"]


async def test_a_slow_database_gets_smaller_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transactions lock the run's row: the lease could not be renewed meanwhile."""
    moments = iter(range(10**6))
    monkeypatch.setattr("scenarios.runs.event_queue.time.perf_counter", lambda: next(moments))
    written = Written()
    queue = EventQueue(written.write)
    await asyncio.gather(*(queue.record(event(number)) for number in range(300)))
    assert list(map(len, written.batches))[:4] == [32, 6, 1, 1]
