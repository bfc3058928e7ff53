"""Whether Prometheus takes a service's query: asked of it when the query is entered."""

import asyncio

from django.conf import settings

from scenarios.charts.window import rate_window
from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.promql import check_placeholders, fill_in
from scenarios.drivers.prometheus import query_api

SECONDS = 2.0
# Any name will do: the query is read, and evaluated for one moment long ago.
SOME_SERVICE = "some-service"


def refusal_of(query: str) -> str:
    """A sentence where the query is wrong; "" where it is not, or where Prometheus cannot say now."""
    try:
        check_placeholders(query)
    except ValueError as error:
        return str(error)
    if not settings.PROMETHEUS_URL:
        return ""
    window = rate_window(settings.PROMETHEUS_SCRAPE_SECONDS, 1.0)
    words = {
        "query": fill_in(query, service=SOME_SERVICE, window=window),
        "start": "0",
        "end": "0",
        "step": "1",
    }
    try:
        asyncio.run(query_api(settings.PROMETHEUS_URL, "query_range", words, seconds=SECONDS))
    except StepImpossible as error:
        return str(error)
    except StepFailed:
        return ""
    return ""
