"""Clients of a running coordinator's API: many requests at once, and readers of event streams."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import ClientSession, ClientTimeout, TCPConnector

from tests.servers.coordinator import Coordinator

PATIENCE = ClientTimeout(total=120)
# A run that begins and never ends, with an event a fifth of a second.
TELL_ON = """
import time
from scenarios.runs.leases import renew_lease
from tests.integration.scenarios.story_rows import Telling
telling = Telling()
print(telling.run.pk, flush=True)
while True:
    telling.tell("validation_holding", "it goes on")
    renew_lease(telling.claim)
    time.sleep(0.2)
"""
MANY_RUNS = """
import uuid
from datetime import timedelta
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone
from scenarios.models import Run, Scenario
from scenarios.domain.outcomes import Outcome
count, now = {count}, timezone.now()
scenarios, users = list(Scenario.objects.all()), [*User.objects.all(), User.objects.create_user("ada")]
ends = list(Outcome)
# So many that all runs of a scenario end in the same way.
scenarios = scenarios[: len(scenarios) // len(ends) * len(ends)] or scenarios
rows = (
    Run(id=uuid.uuid4(), scenario=one, scenario_name=one.name, document=one.document,
        variables={{"delay_ms": n}}, state="finished", outcome=ends[n % len(ends)],
        rollback="dirty" if n % 1000 == 0 else "clean", reason="as it was", started_by=users[n % len(users)],
        started_from="api", queued_at=now - timedelta(seconds=n), claimed_at=now, finished_at=now)
    for n in range(count) for one in (scenarios[n % len(scenarios)],)
)
Run.objects.bulk_create(rows, batch_size=2000)
if connection.vendor == "postgresql":
    connection.cursor().execute("VACUUM ANALYZE scenarios_run")  # as autovacuum does within a minute
"""


def percentile(seconds: Sequence[float], share: float) -> float:
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


@dataclass
class Reader:
    """Reads as an EventSource does: reconnects after `retry`, and continues after the last event."""

    address: str
    seen: int = 0
    answers: int = 0
    gaps: int = 0
    failures: list[str] = field(default_factory=list)

    async def read(self, session: ClientSession) -> None:
        while True:
            retry = await self._one_answer(session)
            self.answers += 1
            await asyncio.sleep(retry)

    async def _one_answer(self, session: ClientSession) -> float:
        retry = 1.0
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.seen)}
        async with session.get(self.address, headers=headers) as answer:
            if answer.status != 200:
                self.failures.append(f"{answer.status} {await answer.text()}")
                return retry
            async for line in answer.content:
                name, _, value = line.decode().partition(": ")
                if name == "retry":
                    retry = int(value) / 1000
                elif name == "id":
                    self.gaps += int(value) != self.seen + 1
                    self.seen = int(value)
        return retry


class Clients:
    def __init__(self, installed: Coordinator, token: str) -> None:
        self.base = f"http://127.0.0.1:{installed.port}/api/v1/"
        self.headers = {"Authorization": f"Bearer {token}"}

    def session(self) -> ClientSession:
        return ClientSession(
            headers=self.headers, timeout=PATIENCE, connector=TCPConnector(limit=0, force_close=True)
        )

    async def at_once(self, count: int, path: str) -> list[float]:
        """This many requests at the same moment; how long each took."""
        async with self.session() as session:

            async def ask() -> float:
                begun = time.perf_counter()
                async with session.get(self.base + path) as answer:
                    await answer.read()
                    assert answer.status == 200, await answer.text()
                return time.perf_counter() - begun

            return await asyncio.gather(*(ask() for _ in range(count)))

    async def one_by_one(self, count: int, path: str) -> list[float]:
        return [seconds for _ in range(count) for seconds in await self.at_once(1, path)]

    @asynccontextmanager
    async def reading(self, count: int, path: str) -> AsyncIterator[list[Reader]]:
        """This many readers of the stream, until the end of the block."""
        readers = [Reader(self.base + path) for _ in range(count)]
        async with self.session() as session:
            tasks = [asyncio.create_task(reader.read(session)) for reader in readers]
            try:
                await until(lambda: all(reader.answers or reader.seen for reader in readers))
                yield readers
                for task in tasks:
                    if task.done():
                        task.result()  # whatever ended it
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool], seconds: float = 300) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - the readers' own progress, which no event tells
            await asyncio.sleep(0.02)


async def rounds(ask: Callable[[], Awaitable[list[float]]], count: int) -> list[float]:
    return [seconds for _ in range(count) for seconds in await ask()]
