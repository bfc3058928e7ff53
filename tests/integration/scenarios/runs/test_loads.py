"""Runs with a load, sent by a real process through a real fault proxy to a real service."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.load_tally import Tally
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.drivers.processes import has_ended, open_process
from scenarios.engine import load_measurements, loads
from scenarios.engine.loads import SoFar
from scenarios.library import services as registered_services
from scenarios.load import process
from scenarios.load.process import LoadProcess
from scenarios.models import Approval, Hold, LoadProgress, Run, Service
from scenarios.pictures.load_charts import build_load_views
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import executor, leases, lifecycle, load_book
from scenarios.runs.deletion import delete_runs
from scenarios.runs.history import read_history
from scenarios.runs.load_results import find_progress_version, read_loads
from tests.integration.scenarios.story_rows import Telling
from tests.servers.fault_proxy import TOKEN, running_fault_proxy
from tests.servers.loopback import wait_for
from tests.servers.redis_server import Redis
from tests.servers.target import running_target

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: slow-shop}
spec:
  load:
    - name: shoppers
      rate: 30/s
      timeout: 60s
      request: {http: {service: shop, path: "/${page}", headers: {Connection: close}}}
      choose: {page: [health, odd]}
  phases:
"""
BROKEN = """
    - name: before
      hold: 1s
      validations:
        - {name: all is well, load: shoppers, expect: {error_rate: {at_most: 0.1%}}}
    - name: slow
      on_failure: continue
      actions:
        - {name: slow it down, fault: {proxy: {service: shop, latency: 2s}}}
        - {name: for a while, do: {wait: {duration: 1s}}}
      validations:
        - {name: nobody waits longer, load: shoppers, expect: {p95: {at_most: 1.5x}}}
        - {name: nobody fails, load: shoppers, expect: {error_rate: {at_most: 0.1%}}}
    - name: refused
      actions:
        - {name: refuse all, fault: {proxy: {service: shop, refuse: true}}}
        - {name: for a while, do: {wait: {duration: 1s}}}
      validations:
        - {name: some fail, load: shoppers, expect: {error_rate: {above: 1%}, rate: {below: 29.9/s}}}
"""
LONG = """
    - {name: long, hold: 1h}
"""


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # These depend on the machine; that they matter is tested elsewhere.
    monkeypatch.setattr(load_measurements, "MAX_LATENESS", 600.0)
    monkeypatch.setattr(loads, "START_SECONDS", 600.0)
    monkeypatch.setattr(process, "SILENCE_SECONDS", 600.0)
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", TOKEN)
    with running_target() as target, running_fault_proxy(target.url.removeprefix("http://")) as proxy:
        registered_services.register_service("shop", f"http://{proxy.listener}", proxy=proxy.control)
        yield


def carry_out(document: str) -> Run:
    run = run_commands.start_run(document, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def test_users_notice_a_slow_and_a_refusing_service(admin_client: Client, settings: Settings) -> None:
    settings.TRACE_URL = "https://traces.example.com/{trace_id}?span={span_id}"
    run = carry_out(HEAD + BROKEN)
    assert (run.outcome, run.rollback) == (Outcome.FAILED, Rollback.CLEAN), run.reason
    assert run.reason.startswith("validation 'nobody waits longer' failed: 'p95' is ")
    assert "(1.5x the baseline)" in run.reason
    verdicts = {step.name: step.verdict for step in read_history(run).validations}
    assert verdicts == {
        "all is well": "passed",
        "nobody waits longer": "failed",
        "nobody fails": "passed",
        "some fail": "passed",
    }

    report = json.loads(render_report(run, "json"))
    (load,) = report["load"]
    before, slow, refused = load["phases"]
    assert [phase["phase"] for phase in load["phases"]] == ["before", "slow", "refused"]
    assert before["requests"] >= 20
    assert before["errors"] == slow["errors"] == 0
    assert slow["p95"] >= 2.0
    assert load["baseline"] == {name: before[name] for name in load["baseline"]}
    assert refused["errors"] > 0
    assert load["lateness_p99"] >= 0
    (view,) = build_load_views(read_history(run))
    assert [row[0][1] for row in view.rows] == ["before", "slow", "refused", "baseline"]
    assert [title for title, _picture in view.charts] == ["p95", "error rate"]
    # From the slowest request of a phase, and from the first error of its kind, to the request's own trace.
    slowest = {row[0][1]: row[-1][2] for row in view.rows}
    assert slowest["before"] != slowest["slow"]
    assert re.fullmatch(r"https://traces\.example\.com/[0-9a-f]{32}\?span=", slowest["slow"])
    assert slowest["baseline"] == ""
    errors = {error.partition(" × ")[2]: url for error, url in view.errors}
    assert errors["connection refused"].startswith("https://traces.example.com/")
    assert "Load **shoppers**" in render_report(run, "md").decode()
    page = admin_client.get(f"/admin/scenarios/run/{run.pk}/change/").content.decode()
    for content in (page, render_report(run, "html").decode()):
        assert "p95 of load shoppers" in content
        assert f'<a href="{slowest["slow"]}" rel="noreferrer"' in content
        assert f'href="https://traces.example.com/{run.id.hex}?span=' in content
    # From the validation to the curve of its load.
    step = f"/admin/scenarios/run/{run.pk}/step/?phase=slow&name=nobody+waits+longer&number=3"
    assert '<a href="#load-1">Curve</a>' in admin_client.get(step).content.decode()
    assert 'id="load-1"' in page
    # What is held and stored goes with the run.
    assert not Hold.objects.exists()
    assert sum(len(json.dumps(detail)) for detail in run.events.values_list("detail", flat=True)) < 20_000


def test_a_stop_ends_the_sender(monkeypatch: pytest.MonkeyPatch) -> None:
    senders: list[LoadProcess] = []
    begin = LoadProcess.begin

    async def begin_and_note(self: LoadProcess, order: dict[str, object]) -> None:
        senders.append(self)
        await begin(self, order)

    monkeypatch.setattr(LoadProcess, "begin", begin_and_note)
    run = run_commands.start_run(HEAD + LONG, {}, origin="cli")
    assert run.services == ["shop"]
    ended: list[bool] = []

    def stop() -> None:
        with open_process(senders[0].pid) as sender:
            run_commands.request_stop(run, by="berta")
            wait_for(lambda: has_ended(sender), what="the sender ends")
            ended.append(True)

    done = carry_out_beside(run, stop)
    assert (done.outcome, ended) == (Outcome.ABORTED, [True])


def carry_out_beside(run: Run, act: Callable[[], object]) -> Run:
    """Carry the run out, and act in another thread once its first phase has begun."""
    problems: list[Exception] = []

    def act_when_begun() -> None:
        try:
            wait_for(lambda: run.events.filter(kind="phase_started").exists(), what="the load begins")
            act()
        except Exception as error:  # raised where the run was started  # noqa: BLE001
            problems.append(error)
            run_commands.request_stop(run, by="the test")
        finally:
            connection.close()

    acting = threading.Thread(target=act_when_begun)
    acting.start()
    try:
        done = executor.carry_out(str(run.id), run.attempt)
    finally:
        acting.join()
    if problems:
        raise problems[0]
    assert done is not None
    return done


def test_the_page_shows_figures_and_curves_of_a_load_while_it_is_sent(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load_book, "WRITE_SECONDS", 0.2)
    run = run_commands.start_run(HEAD + LONG, {}, origin="cli")
    page = f"/admin/scenarios/run/{run.pk}/"
    polls: list[str] = []

    def watch() -> None:
        content = admin_client.get(page + "change/").content.decode()
        (address,) = re.findall(r'id="looks" hx-get="([^"]+)"', content)

        def has_curves() -> bool:
            answer = admin_client.get(address)
            polls.append(answer.content.decode())
            return "p95 of load shoppers" in polls[-1] and 'id="curves" hx-swap-oob' in polls[-1]

        wait_for(has_curves, what="two seconds are measured")
        run_commands.request_stop(run, by="berta")

    done = carry_out_beside(run, watch)
    assert "Curves on the timeline: p95 of shoppers, error rate of shoppers" in polls[-1]
    assert '<td class="what">long, so far</td>' in polls[-1]
    assert 'id="loads" hx-swap-oob="true"' in polls[-1]
    # The events of the run have it all now.
    assert not LoadProgress.objects.exists()
    (load,) = read_loads(read_history(done))
    assert (load.present, [phase for phase, _figures in load.phases]) == (None, ["long"])


def test_what_a_load_has_measured_stays_when_its_worker_is_killed() -> None:
    telling = Telling()
    so_far = SoFar(
        "shoppers", timezone.now(), "long", Tally().compute_figures(1.0), [[0, 5, 1, 0.2], [1, 5, 0, None]]
    )
    book = load_book.LoadBook(lambda: [so_far], telling.claim, attempt=1)

    @async_to_sync
    async def write() -> None:
        await book.write(executor.build_journal(telling.run, telling.claim))

    versions = {find_progress_version(telling.run)}
    for _ in range(2):
        write()
        versions.add(find_progress_version(telling.run))
    assert len(versions) == 3
    (load,) = read_loads(read_history(telling.run))
    assert (load.curve, load.present and load.present[0]) == ([[0, 5, 1, 0.2], [1, 5, 0, None]], "long")
    Run.objects.filter(pk=telling.run.pk).update(lease_until=timezone.now() - timedelta(seconds=1))
    claim = leases.take_over_run(Run.objects.get(pk=telling.run.pk), worker="there:2")
    assert claim is not None
    write()  # it has lost the run
    assert find_progress_version(telling.run) in versions
    died = Verdict(Outcome.INTERRUPTED, "its worker died", Rollback.CLEAN)
    run = lifecycle.finish_run(claim, died, timezone.now())
    assert len(read_loads(read_history(run))) == 1
    delete_runs([run.pk])
    assert not LoadProgress.objects.exists()


def test_a_load_on_a_protected_service_needs_approval() -> None:
    Service.objects.update(is_protected=True)
    run = run_commands.start_run(HEAD + LONG, {}, origin="cli")
    assert Approval.objects.get(run=run).services == ["shop"]


def test_a_load_that_names_an_address_holds_the_service_there() -> None:
    url = Service.objects.get().base_url
    document = HEAD.replace('service: shop, path: "/${page}"', f'url: "{url}/${{page}}"')
    assert run_commands.start_run(document + LONG, {}, origin="cli").services == ["shop"]


OF_REDIS = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: busy-stock}
spec:
  load:
    - name: lookups
      rate: 20/s
      timeout: 60s
      request: {redis: {service: stock, command: [GET, "${key}"]}}
      choose: {key: [a, b]}
  phases:
    - name: look
      hold: 500ms
      validations:
        - {name: all is well, load: lookups, expect: {error_rate: {at_most: 0.1%}}}
"""


def test_a_load_may_ask_a_server_that_does_not_speak_http(tmp_path: Path) -> None:
    redis = Redis(tmp_path)
    redis.start()
    try:
        registered_services.register_service("stock", redis.url)
        run = carry_out(OF_REDIS)
    finally:
        redis.stop()
    assert run.outcome == Outcome.PASSED, run.reason
    assert Run.objects.get().services == ["stock"]
