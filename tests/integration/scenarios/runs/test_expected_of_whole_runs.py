"""What is expected of lists, of several series and of slow answers, carried out against real servers."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest

from scenarios.library import services as registered_services
from scenarios.models import Run
from scenarios.reports import render_report
from scenarios.runs import commands as run_commands
from scenarios.runs import executor
from tests.servers.serving import serving

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: looking}}
spec:
  phases:
    - name: look
      validations:
        - name: what is expected
          probe: {probe}
          expect: {expect}
"""
LIST = "{http: {service: target, path: /list}}"
SERIES = '{{prometheus: {{server: "{url}", query: many}}}}'


class Answers(BaseHTTPRequestHandler):
    SERIES: ClassVar = [{"metric": {"pod": f"p{index}"}, "value": [0, str(index)]} for index in range(5)]

    def do_GET(self) -> None:
        body: object = {"faults": [{"what": "b-10"}], "none": [], "secret": "only-here"}
        if self.path == "/api/v1/query":
            body = {"status": "success", "data": {"resultType": "vector", "result": self.SERIES}}
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_POST(self) -> None:
        self.do_GET()

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def url() -> Iterator[str]:
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Answers)) as server:
        address = f"http://127.0.0.1:{server.server_port}"
        registered_services.register_service("target", address)
        yield address


def carried_out(probe: str, expect: str) -> Run:
    run = run_commands.start_run(DOCUMENT.format(probe=probe, expect=expect), {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


OUTCOMES = [
    (LIST, '{json: {"$.faults[*].what": {contains: b-1}}}', "failed"),
    (LIST, '{json: {"$.faults[*].what": {contains: b-10}}}', "passed"),
    (LIST, '{json: {"$.faults[0].what": {contains: b-1}}}', "passed"),
    (LIST, '{json: {"$.none[*].id": []}}', "passed"),
    (LIST, '{json: {"$.faults[*].what": []}}', "failed"),
    (SERIES, "{value: {below: 3}}", "failed"),
    (SERIES, "{value: {exists: false}}", "failed"),
    (SERIES, "{value: {all: {below: 5}, count: 5}}", "passed"),
    (SERIES, "{value: {all: {below: 3}}}", "failed"),
    (SERIES, "{value: {any: {at_least: 4}}}", "passed"),
]


@pytest.mark.parametrize(("probe", "expect", "outcome"), OUTCOMES)
def test_lists_and_series_are_judged_whole(url: str, probe: str, expect: str, outcome: str) -> None:
    run = carried_out(probe.format(url=url) if probe is SERIES else probe, expect)
    assert run.outcome == outcome, run.reason


def test_the_verdict_names_the_series_that_do_not_hold(url: str) -> None:
    reason = carried_out(SERIES.format(url=url), "{value: {all: {below: 4}}}").reason
    assert "1 of 5 values of 'value' do not match: {pod=\"p4\"} is 4" in reason


@pytest.mark.parametrize("outcome", ["passed", "failed"])
def test_nothing_of_a_sensitive_answer_is_in_the_events_or_the_report(url: str, outcome: str) -> None:
    value = "only-here" if outcome == "passed" else "another"
    probe = "{sensitive: true, http: {service: target, path: /list}}"
    run = carried_out(probe, f'{{json: {{"$.secret": {value}}}}}')
    assert run.outcome == outcome
    kept = str(list(run.events.values_list("detail", flat=True))) + run.reason
    assert "b-10" not in kept
    assert "b-10" not in render_report(run, "json").decode()
