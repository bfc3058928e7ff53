"""The run page and the report draw what probes saw, without Prometheus."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from scenarios.domain.looks import Look
from scenarios.models import LookChunk, Run
from scenarios.published.looks import encode_looks
from scenarios.reports import render_report
from tests.integration.scenarios.story_rows import NOTICED, Telling

pytestmark = pytest.mark.django_db


def store(run: Run, *looks: Look, name: str = NOTICED, series: int = 0, number: int = 0) -> None:
    LookChunk.objects.create(
        run=run,
        attempt=1,
        series=series,
        number=number,
        phase="chaos",
        validation=name,
        about="risk-monitor",
        compared="$.delay" if looks[0].value is not None else "",
        count=len(looks),
        content=encode_looks(looks),
    )


def look(run: Run, after: float, *, holds: bool = True, value: float | None = None) -> Look:
    run.refresh_from_db()
    assert run.claimed_at is not None
    return Look(run.claimed_at.timestamp() + after, holds, 0.25, value)


def page(client: Client, run: Run) -> str:
    return client.get(reverse("admin:scenarios_run_change", args=[run.pk])).content.decode()


def find_charts(content: str) -> list[str]:
    return re.findall(r'<figure class="chart"[^>]*>.*?</figure>', content, re.DOTALL)


def test_page_and_report_draw_response_times_with_faults_and_misses(admin_client: Client) -> None:
    telling = Telling()
    telling.begin()
    run = telling.finish()
    store(run, look(run, 0.0), look(run, 0.1, holds=False), look(run, 0.2))
    for content in (page(admin_client, run), render_report(run, "html").decode()):
        (chart,) = find_charts(content)
        assert f'aria-label="{NOTICED}, response time of risk-monitor.' in chart
        for shape in ('class="fault"', 'class="misses"', 'class="series series-1"'):
            assert shape in chart


def test_number_that_is_compared_is_drawn_instead_of_the_time(admin_client: Client) -> None:
    run = Telling().run
    store(run, look(run, 0.0, value=3.0), look(run, 1.0, value=9.0, holds=False))
    (chart,) = find_charts(page(admin_client, run))
    assert "$.delay of risk-monitor" in chart
    assert "1 of 2 looks held, median 6, highest 9." in chart


def test_validation_that_looked_once_has_no_chart(admin_client: Client) -> None:
    run = Telling().run
    store(run, look(run, 0.0))
    assert find_charts(page(admin_client, run)) == []


def test_charts_are_sent_again_only_when_there_are_newer_looks_and_once_after_the_end(
    admin_client: Client,
) -> None:
    telling = Telling()
    telling.begin()
    run = telling.run
    store(run, look(run, 0.0), look(run, 1.0))
    poll = re.compile(r'id="looks" hx-get="([^"]+)"')
    (address,) = poll.findall(page(admin_client, run))
    assert admin_client.get(address).status_code == 204
    store(run, look(run, 2.0), number=1)
    (address,) = poll.findall(admin_client.get(address).content.decode())
    assert admin_client.get(address).status_code == 204
    telling.finish()
    content = admin_client.get(address).content.decode()
    assert find_charts(content)
    assert poll.findall(content) == []


def test_pages_of_long_runs_ask_no_more_and_draw_no_more_points(admin_client: Client) -> None:
    run = Telling().run
    store(run, look(run, 0.0), look(run, 1.0))
    address = reverse("admin:scenarios_run_looks", args=[run.pk])
    with CaptureQueriesContext(connection) as queries:
        admin_client.get(address)
    for number in range(1, 34):
        store(run, *(look(run, number * 60.0 + second) for second in range(60)), number=number)
    with CaptureQueriesContext(connection) as of_long_run:
        (chart,) = find_charts(admin_client.get(address).content.decode())
    assert len(of_long_run) <= len(queries)
    assert chart.count("L") < 700
    assert "1982 of 1982 looks held" in chart
