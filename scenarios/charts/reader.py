"""Reads the charts that are due, one run after the other, beside the process's other work."""

import asyncio
import logging
from contextlib import suppress

from django.conf import settings
from django.utils import timezone

from scenarios.charts import keeping
from scenarios.charts.keeping import Taken
from scenarios.charts.kept import Charts
from scenarios.charts.questions import find_questions
from scenarios.charts.reading import read_charts
from scenarios.charts.window import windows_around
from scenarios.database.connections import DatabaseThread
from scenarios.database.errors import is_away
from scenarios.domain import outages

logger = logging.getLogger(__name__)

DATABASE = DatabaseThread("charts")


class ChartReader:
    """For a process that looks again and again: a Prometheus that hangs keeps nothing else waiting."""

    def __init__(self) -> None:
        self._task: asyncio.Task[None] | None = None

    def go_on(self) -> None:
        """Begin to read what is due, unless a reading is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(read_due_charts())

    async def stop(self) -> None:
        """Stop at once; the charts that were claimed are due again in a minute."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await DATABASE.close()


async def read_due_charts() -> None:
    try:
        while (taken := await DATABASE.call(keeping.take_due, timezone.now())) is not None:
            await _read(taken)
    except Exception as error:  # charts must not end who reads them
        if is_away(error):
            outages.database.note_failure(error)
        else:
            logger.exception("Charts could not be read: trying again")


async def _read(taken: Taken) -> None:
    run, now = taken.run, timezone.now()
    try:
        charts = Charts()
        if run.claimed_at is not None:
            asked, left_out = await DATABASE.call(find_questions, run)
            scrape = settings.PROMETHEUS_SCRAPE_SECONDS
            windows = windows_around(run.claimed_at, run.finished_at, now, scrape=scrape)
            charts = await read_charts(asked, windows)
            charts.left_out = left_out
    except Exception:
        await DATABASE.call(keeping.let_go, taken, now)
        raise
    await DATABASE.call(keeping.keep, taken, charts, now)
