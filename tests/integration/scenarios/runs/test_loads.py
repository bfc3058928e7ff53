"""Runs with a load, sent by a real process through a real fault proxy to a real service."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from scenarios.domain.outcomes import Outcome, Rollback
from scenarios.drivers.processes import has_ended, open_process
from scenarios.engine import load_measurements, loads
from scenarios.library import services as registered_services
from scenarios.load import process
from scenarios.load.process import LoadProcess
from scenarios.models import Approval, Hold, Run, Service
from scenarios.pictures.load_charts import build_load_views
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import executor
from scenarios.runs.history import read_history
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


def test_users_notice_a_slow_and_a_refusing_service(admin_client: Client) -> None:
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
    assert "connection refused" in view.errors
    assert "Load **shoppers**" in render_report(run, "md").decode()
    page = admin_client.get(f"/admin/scenarios/run/{run.pk}/change/").content.decode()
    for content in (page, render_report(run, "html").decode()):
        assert "p95 of load shoppers" in content
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
        try:
            wait_for(lambda: run.events.filter(kind="phase_started").exists(), what="the load begins")
            with open_process(senders[0].pid) as sender:
                run_commands.request_stop(run, by="berta")
                wait_for(lambda: has_ended(sender), what="the sender ends")
                ended.append(True)
        finally:
            connection.close()

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        done = executor.carry_out(str(run.id), run.attempt)
    finally:
        stopping.join()
    assert done is not None
    assert (done.outcome, ended) == (Outcome.ABORTED, [True])


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
