"""Charts are stored with their run, whatever Prometheus does, and while others read them."""

import asyncio
import json
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries
from pytest_django.fixtures import Settings

from scenarios.charts import answers, keeping, reader
from scenarios.charts.kept import Chart, Charts, Series
from scenarios.charts.reader import ChartReader, read_due_charts
from scenarios.library import services as registered_services
from scenarios.models import Run, RunCharts, Service
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.supervision import retention
from tests.integration.scenarios.story_rows import Telling
from tests.servers.false_prometheus import FalsePrometheus, false_prometheus, matrix, steadily

pytestmark = pytest.mark.django_db(transaction=True)

TITLES = ["Requests", "Errors (5xx)", "Duration, 99th percentile"]
SECRET_PROBE = """
        - name: the secret query holds
          probe: {prometheus: {query: 'up{token="${secret:TOKEN}"}'}}
          expect: {value: 1}
"""


@pytest.fixture
def server(settings: Settings) -> Iterator[FalsePrometheus]:
    with false_prometheus() as running:
        settings.PROMETHEUS_URL = running.url
        yield running


@pytest.fixture
def telling(server: FalsePrometheus) -> Telling:
    registered_services.register_service("exchange", "http://127.0.0.1:1")
    return Telling()


def read() -> None:
    async_to_sync(read_due_charts)()


def ended(telling: Telling) -> Run:
    telling.begin()
    return telling.finish()


def kept(run: Run) -> Charts:
    return Charts.model_validate(RunCharts.objects.get(run=run).content)


def make_due(run: Run) -> None:
    RunCharts.objects.filter(run=run).update(due_at=timezone.now())


def test_charts_of_the_touched_services_are_kept_when_the_run_has_ended(telling: Telling) -> None:
    run = ended(telling)
    read()
    charts = kept(run).charts
    assert [chart.title for chart in charts] == TITLES
    assert {value for chart in charts for value in chart.series[0].values} == {1.0}
    assert 'service="exchange"' in charts[0].query
    row = RunCharts.objects.get(run=run)
    assert run.finished_at is not None
    assert row.due_at == run.finished_at + timedelta(seconds=20)
    assert row.saw_end


def test_a_run_that_goes_on_is_read_and_its_end_makes_it_due_at_once(telling: Telling) -> None:
    telling.begin()
    read()
    row = RunCharts.objects.get(run=telling.run)
    assert (row.version, row.saw_end) == (1, False)
    assert row.due_at is not None
    assert row.due_at > timezone.now()
    telling.finish()
    read()
    assert RunCharts.objects.get(run=telling.run).version == 2


def test_a_run_that_waits_or_never_began_asks_nothing(server: FalsePrometheus) -> None:
    run = run_commands.start_run(Telling().run.document, {}, origin="cli")
    read_before = len(server.asked)
    run_commands.request_stop(run, by="someone")
    read()
    row = RunCharts.objects.get(run=run)
    assert (row.due_at, row.content, len(server.asked)) == (None, {}, read_before)


def test_only_one_of_two_watchdogs_reads(telling: Telling) -> None:
    run = ended(telling)
    now = timezone.now()
    taken = keeping.take_due(now)
    assert taken is not None
    assert taken.run == run
    assert keeping.take_due(now) is None


def test_charts_claimed_by_a_dead_watchdog_are_read_by_another_and_its_late_result_is_dropped(
    telling: Telling,
) -> None:
    run = ended(telling)
    now = timezone.now()
    late = keeping.take_due(now)
    other = keeping.take_due(now + keeping.TAKEN_FOR)
    assert late is not None
    assert other is not None
    mine = Charts(
        charts=[Chart(title="mine", about="", query="q", moments=[1.0], series=[Series(values=[1.0])])]
    )
    assert keeping.keep(other, mine, now)
    assert not keeping.keep(late, Charts(), now)
    assert [chart.title for chart in kept(run).charts] == ["mine"]


def test_a_run_that_is_deleted_while_it_is_read_is_no_error(telling: Telling) -> None:
    run = ended(telling)
    taken = keeping.take_due(timezone.now())
    assert taken is not None
    assert retention.prune(timezone.now(), at_most=10) == 1
    assert not keeping.keep(taken, Charts(), timezone.now())
    assert not RunCharts.objects.filter(run=run.id).exists()


def test_charts_stay_when_prometheus_is_gone(telling: Telling, server: FalsePrometheus) -> None:
    run = ended(telling)
    read()
    server.stop()
    make_due(run)
    read()
    for chart in kept(run).charts:
        assert "refused the connection" in chart.problem
        assert set(chart.series[0].values) == {1.0}
    assert "Not updated: Prometheus at" in render_report(run, "html").decode()


@pytest.mark.parametrize("garbage", [b"<html>", b"x" * 2_000_000, json.dumps({"status": "success"}).encode()])
def test_garbage_is_a_sentence_in_every_report(
    telling: Telling, server: FalsePrometheus, garbage: bytes
) -> None:
    server.reply = lambda _form: (200, garbage)
    run = ended(telling)
    read()
    for name in ("html", "json", "md"):
        # In Markdown an invisible character keeps sites from making a link of the address.
        assert f"{server.url} answered" in render_report(run, name).decode().replace("\u2060", "")
    assert Run.objects.get(pk=run.pk).verdict == "passed"


def test_a_prometheus_that_hangs_delays_nothing_and_becomes_a_sentence(
    telling: Telling, server: FalsePrometheus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "SECONDS", 0.2)
    server.hangs = True
    run = ended(telling)
    read()
    assert "did not answer within 200ms" in render_report(run, "md").decode()


def test_reading_can_be_stopped_at_once_and_is_due_again_a_minute_later(
    telling: Telling, server: FalsePrometheus
) -> None:
    server.hangs = True
    run = ended(telling)

    async def begin_and_stop() -> None:
        charts = ChartReader()
        charts.go_on()
        await asyncio.to_thread(server.was_asked.wait, 120)
        await charts.stop()

    async_to_sync(begin_and_stop)()
    row = RunCharts.objects.get(run=run)
    assert row.version == 0
    assert row.taken_until is not None
    assert keeping.take_due(row.taken_until) is not None


def test_error_while_reading_is_logged_and_retried_later(
    telling: Telling, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*_arguments: object) -> Charts:
        raise RuntimeError("not foreseen")

    monkeypatch.setattr(reader, "read_charts", broken)
    run = ended(telling)
    read()
    assert "not foreseen" in caplog.text
    row = RunCharts.objects.get(run=run)
    assert row.due_at is not None
    assert row.due_at > timezone.now()
    assert row.taken_until is None


def test_no_secret_is_stored_or_shown_wherever_prometheus_returns_it(
    server: FalsePrometheus, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setenv(f"{settings.SCENARIO_SECRET_PREFIX}TOKEN", "hidden-token")
    document = Telling().run.document.replace("      validations:\n", f"      validations:{SECRET_PROBE}", 1)
    run = run_commands.start_run(document, {}, origin="cli")
    Run.objects.filter(pk=run.pk).update(
        state="running", claimed_at=run.queued_at, lease_until=timezone.now()
    )
    shown = [({"token": f"hidden-token-{number}"}, [(1.0, "1")]) for number in range(2)]
    server.reply = lambda _form: matrix(*shown)
    read()
    assert any("hidden-token" in form["query"] for form in server.asked)
    content = json.dumps(RunCharts.objects.get(run=run).content)
    assert "hidden-token" not in content
    assert "${secret:TOKEN}" in content
    assert "***" in content


def test_unstorable_samples_are_replaced(telling: Telling, server: FalsePrometheus) -> None:
    odd = [({"pod": "a\x00\ud800"}, [(1.0, "1")]), ({"pod": "b"}, [(1.0, "1")])]
    server.reply = lambda _form: matrix(*odd)
    run = ended(telling)
    read()
    assert kept(run).charts[0].series[0].name == "pod=a\ufffd\ufffd"


def test_size_of_stored_charts_is_bounded(telling: Telling, server: FalsePrometheus) -> None:
    def wide(form: dict[str, str]) -> tuple[int, bytes]:
        _status, body = steadily("0.123456789")(form)
        samples = json.loads(body)["data"]["result"][0]["values"]
        return matrix(*(({"pod": "p" * 300 + str(number)}, samples) for number in range(40)))

    server.reply = wide
    service = Service.objects.get(name="exchange")
    for number in range(30):
        service.queries.create(title=f"query {number}", query="q" * 2000)
    run = ended(telling)
    read()
    charts = kept(run)
    assert len(charts.charts) == 20
    assert len(charts.left_out) == 13
    assert len(json.dumps(RunCharts.objects.get(run=run).content)) < 1_000_000
    assert "Too many queries, not sent: query 17" in render_report(run, "html").decode()


# On the page, and in the reports


def address(name: str, run: Run) -> str:
    return reverse(f"admin:scenarios_run_{name}", args=[run.pk])


def test_the_page_draws_what_is_kept_and_asks_for_newer_ones_until_they_are_complete(
    admin_client: Client, telling: Telling
) -> None:
    run = ended(telling)
    read()
    content = admin_client.get(address("change", run)).content.decode()
    assert content.count('class="series series-1"') >= len(TITLES)
    assert f'hx-get="{address("charts", run)}?seen=1"' in content
    assert admin_client.get(address("charts", run), {"seen": "1"}).status_code == 204
    RunCharts.objects.filter(run=run).update(due_at=None, version=2)
    answer = admin_client.get(address("charts", run), {"seen": "1"}).content.decode()
    assert 'id="charts"' in answer
    assert "hx-get" not in answer.partition(">")[0]


def test_how_long_they_are_read_again_is_said_in_words_that_the_end_of_the_run_leaves_true(
    admin_client: Client, telling: Telling
) -> None:
    telling.begin()
    make_due(telling.run)
    read()
    content = admin_client.get(address("change", telling.run)).content.decode()
    telling.finish()
    # A browser keeps what it has until there is something newer.
    assert admin_client.get(address("charts", telling.run), {"seen": "1"}).status_code == 204
    assert "updated until ten minutes after the run" in content


def test_a_look_for_newer_charts_is_one_query_and_asks_prometheus_nothing(
    admin_client: Client,
    telling: Telling,
    server: FalsePrometheus,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    run = ended(telling)
    read()
    asked = len(server.asked)
    with django_assert_max_num_queries(3):  # session, user, version
        assert admin_client.get(address("charts", run), {"seen": "1"}).status_code == 204
    admin_client.get(address("change", run))
    assert len(server.asked) == asked


def test_charts_are_for_who_may_see_the_run(client: Client, telling: Telling) -> None:
    run = ended(telling)
    client.force_login(User.objects.create_user("stranger", is_staff=True))
    assert client.get(address("charts", run)).status_code == 403


def test_a_run_of_before_charts_were_kept_has_none(admin_client: Client, telling: Telling) -> None:
    run = ended(telling)
    RunCharts.objects.all().delete()
    assert 'id="charts-title"' not in admin_client.get(address("change", run)).content.decode()
    assert "Charts" not in render_report(run, "html").decode()


def test_the_reports_have_the_samples_and_their_numbers_around_the_fault(
    telling: Telling, server: FalsePrometheus
) -> None:
    run = ended(telling)
    injected = run.faults.get().injected_at

    def risen(form: dict[str, str]) -> tuple[int, bytes]:
        start, end, step = (float(form[name]) for name in ("start", "end", "step"))
        moments = [start + number * step for number in range(int(1 + (end - start) / step))]
        return matrix(({}, [(at, "9" if at >= _unix(injected) - 1 else "4") for at in moments]))

    server.reply = risen
    RunCharts.objects.filter(run=run).update(due_at=timezone.now())
    read()
    page, told = render_report(run, "html").decode(), render_report(run, "md").decode()
    assert "<figure" in page
    assert 'class="fault"' in page
    assert "| Chart | Before the first fault | From then to the end | After the run |" in told
    assert "| Requests (exchange) | 4/s" in told
    content = json.loads(render_report(run, "json"))["charts"]
    assert [chart["title"] for chart in content["drawn"]] == TITLES
    assert len(content["drawn"][0]["moments"]) == len(content["drawn"][0]["series"][0]["values"])


def _unix(at: datetime | None) -> float:
    assert at is not None
    return at.timestamp()
