"""Reads all charts of a run within a time limit."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings

from scenarios.charts.answers import build_chart
from scenarios.charts.kept import Chart, Charts
from scenarios.charts.questions import Question
from scenarios.charts.window import Window, rate_window
from scenarios.domain.outputs import make_storable
from scenarios.domain.redaction import Redactor
from scenarios.drivers.platform import ConfiguredSecrets

AT_ONCE = 5
# A safety limit; the time limits of the single queries are shorter.
SECONDS = 40.0


def get_settle_time() -> timedelta:
    """How long a sample may take to arrive: two scrapes."""
    return timedelta(seconds=2 * settings.PROMETHEUS_SCRAPE_SECONDS)


async def read_charts(questions: Sequence[Question], windows: Sequence[Window]) -> Charts:
    """The charts of the queries, with secrets redacted.

    Raises:
        TimeoutError: they were not all read in time.
    """
    redactor = Redactor()
    places = asyncio.Semaphore(AT_ONCE)
    # For the finest window, because the other ones show fewer points.
    seconds = rate_window(settings.PROMETHEUS_SCRAPE_SECONDS, windows[-1].step)

    def secret(name: str) -> str:
        value = ConfiguredSecrets().secret(name)
        redactor.learn(value)
        return value

    async def read(question: Question) -> Chart:
        async with places:
            return await build_chart(question.with_window(seconds), windows, secret)

    async with asyncio.timeout(SECONDS):
        charts = await asyncio.gather(*map(read, questions))
    # Redacted at the end, because one response may contain the secret of another query.
    return Charts.model_validate(_storable([chart.model_dump(mode="json") for chart in charts], redactor))


def _storable(charts: list[dict[str, Any]], redactor: Redactor) -> dict[str, Any]:
    kept = [
        {
            key: value if key in {"series", "moments"} else make_storable(redactor.redact(value))
            for key, value in chart.items()
        }
        for chart in charts
    ]
    for chart in kept:
        for series in chart["series"]:
            series["name"] = make_storable(redactor.redact(series["name"]))
    return {"charts": kept}
