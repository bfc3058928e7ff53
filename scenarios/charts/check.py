"""Checks a service's query with Prometheus when it is entered."""

import asyncio

from django.conf import settings

from scenarios.charts.window import rate_window
from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.promql import check_placeholders, fill_in
from scenarios.domain.templates import insert_secrets
from scenarios.drivers.platform import ConfiguredSecrets
from scenarios.drivers.prometheus import build_access, find_configured, query_api

SECONDS = 2.0
# Any name works, because the query is only parsed and evaluated for one moment long ago.
SOME_SERVICE = "some-service"


def find_refusal(query: str) -> str:
    """What is wrong with the query; "" if it is valid or Prometheus cannot be reached."""
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
        access = build_access(insert_secrets(dict(find_configured("")), ConfiguredSecrets().secret))
        asyncio.run(query_api(settings.PROMETHEUS_URL, "query_range", words, seconds=SECONDS, **access))
    except StepImpossible as error:
        return str(error)
    except StepFailed:
        return ""
    return ""
