"""The trace of a run: what its targets learn of it while it lasts, and what a collector gets."""

import asyncio
import gzip
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_django.fixtures import Settings

from metrics_app.backend import get_metrics
from scenarios.domain.event_kinds import Topic
from scenarios.domain.webhooks import DeliveryState, Message
from scenarios.library import services as registered_services
from scenarios.models import Delivery, Run
from scenarios.notifications import traces
from scenarios.notifications.dispatcher import Dispatcher
from scenarios.runs import commands as run_commands
from scenarios.runs import executor
from tests.integration.scenarios.story_rows import Telling
from tests.servers.receiver import Receiver, Request
from tests.servers.traced_shop import running_traced_shop

pytestmark = pytest.mark.django_db(transaction=True)

DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: traced}
spec:
  phases:
    - name: before
      validations:
        - name: with a trace of its own
          probe: {http: {service: shop, path: /own, headers: {TraceParent: mine}}}
          expect: {status: 200}
    - name: chaos
      hold: 100ms
      actions:
        - name: break it
          do: {http: {service: shop, path: /break, method: POST}}
          undo: {http: {service: shop, path: /mend, method: POST}}
      validations:
        - name: it answers
          probe: {http: {service: shop, path: /look}}
          expect: {status: 404}
"""


@pytest.fixture
def shop() -> Iterator[Receiver]:
    with Receiver().listening() as listening:
        listening.body = b"my-answer"
        registered_services.register_service("shop", listening.url)
        yield listening


@pytest.fixture
def collector(settings: Settings) -> Iterator[Receiver]:
    with Receiver().listening() as listening:
        settings.TRACES_ENDPOINT = f"{listening.url}/v1/traces"
        settings.TRACES_HEADERS = {"authorization": "Bearer abc"}
        yield listening


def carry_out() -> Run:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    ended = executor.carry_out(str(run.id), run.attempt)
    assert ended is not None
    return ended


def send_due() -> None:
    async def look() -> None:
        dispatcher = Dispatcher()
        await dispatcher.look()
        while busy := dispatcher.under_way():
            await asyncio.wait(busy)

    asyncio.run(look())


def read_spans(requests: list[Request]) -> dict[str, Any]:
    """Every span that was sent, by its name."""
    bodies = [ExportTraceServiceRequest.FromString(unpack(sent)) for sent in requests]
    scopes = [scope for body in bodies for sent in body.resource_spans for scope in sent.scope_spans]
    return {span.name: span for scope in scopes for span in scope.spans}


def unpack(sent: Request) -> bytes:
    is_packed = sent.headers.get("content-encoding") == "gzip"
    return gzip.decompress(sent.body) if is_packed else sent.body


def find_parent_id(requests: list[Request], path: str) -> str:
    [sent] = [sent for sent in requests if sent.path == path]
    return sent.headers["traceparent"].split("-")[2]


def test_requests_of_a_run_belong_to_the_spans_that_a_collector_gets(
    shop: Receiver, collector: Receiver
) -> None:
    run = carry_out()
    send_due()
    assert [sent.path for sent in collector.requests] == ["/v1/traces"]
    assert collector.requests[0].headers["authorization"] == "Bearer abc"
    spans = read_spans(collector.requests)
    assert {span.trace_id.hex() for span in spans.values()} == {run.id.hex}
    assert find_parent_id(shop.requests, "/break") == spans["action break it"].span_id.hex()
    assert find_parent_id(shop.requests, "/mend") == spans["fault break it"].span_id.hex()
    assert find_parent_id(shop.requests, "/look") == find_only_look(run, "it answers")
    own = [sent.headers for sent in shop.requests if sent.path == "/own"]
    assert [headers["traceparent"] for headers in own] == ["mine"]
    parents = {
        "run traced": b"",
        "phase chaos": spans["run traced"].span_id,
        "fault break it": spans["run traced"].span_id,
        "action break it": spans["phase chaos"].span_id,
        "validation it answers": spans["phase chaos"].span_id,
    }
    assert {name: spans[name].parent_span_id for name in parents} == parents
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
    assert 'scenario_run_traces_total{instance="test-coordinator",result="delivered"' in exposition()


def find_only_look(run: Run, validation: str) -> str:
    """The id of the only look of this validation, among all that are sent."""
    [body] = [ExportTraceServiceRequest.FromString(gzip.decompress(r)) for r in traces.build_requests(run)]
    spans = [span for scope in body.resource_spans[0].scope_spans for span in scope.spans]
    [parent] = [span.span_id for span in spans if span.name == f"validation {validation}"]
    looks: list[str] = [span.span_id.hex() for span in spans if span.parent_span_id == parent]
    assert len(looks) == 1
    return looks[0]


def exposition() -> str:
    return get_metrics().get_http_handler()().decode()


def test_each_step_links_to_its_own_span(
    shop: Receiver, collector: Receiver, settings: Settings, admin_client: Client
) -> None:
    settings.TRACE_URL = "https://traces.example.com/trace/{trace_id}?uiFind={span_id}"
    run = carry_out()
    send_due()
    spans = read_spans(collector.requests)
    page = f"/admin/scenarios/run/{run.pk}"
    whole = f"https://traces.example.com/trace/{run.id.hex}?uiFind="
    assert f'href="{whole}" rel="noreferrer"' in admin_client.get(f"{page}/change/").content.decode()
    for name, address in {
        "validation it answers": f"{page}/step/?phase=chaos&name=it+answers&number=3",
        "action break it": f"{page}/step/?phase=chaos&name=break+it&number=2",
    }.items():
        url = f"{whole}{spans[name].span_id.hex()}"
        assert f'href="{url}" rel="noreferrer"' in admin_client.get(address).content.decode()


def test_the_link_of_a_validation_finds_what_a_traced_service_did(
    collector: Receiver, settings: Settings, admin_client: Client
) -> None:
    settings.TRACE_URL = "https://traces.example.com/{trace_id}/{span_id}"
    with running_traced_shop(settings.TRACES_ENDPOINT) as address:
        registered_services.register_service("shop", address)
        run = carry_out()
    send_due()
    step = f"/admin/scenarios/run/{run.pk}/step/?phase=chaos&name=it+answers&number=3"
    link = re.search(
        r'href="https://traces.example.com/(\w+)/(\w+)"', admin_client.get(step).content.decode()
    )
    assert link is not None
    trace_id, span_id = map(bytes.fromhex, link.groups())
    spans = read_spans(collector.requests)
    by_service = spans["GET /look"]
    (look,) = [span for span in spans.values() if span.span_id == by_service.parent_span_id]
    assert (look.trace_id, look.parent_span_id) == (trace_id, span_id)
    assert by_service.trace_id == spans["validation it answers"].trace_id == trace_id
    assert spans["POST /break"].parent_span_id == spans["action break it"].span_id


def test_a_load_has_a_span_for_the_time_in_which_it_was_sent(collector: Receiver) -> None:
    telling = Telling()
    telling.tell("run_started", attempt=1)
    began_at = timezone.now() - timedelta(seconds=3)
    telling.tell("load_finished", "shoppers", phase="", began_at=began_at.isoformat(), rate=20.0)
    telling.finish()
    send_due()
    spans = read_spans(collector.requests)
    load = spans["load shoppers"]
    assert load.start_time_unix_nano == round(began_at.timestamp() * 1_000_000) * 1000
    assert load.end_time_unix_nano >= load.start_time_unix_nano + 3_000_000_000
    assert load.parent_span_id == spans["run exchange-latency"].span_id
    assert telling.run.find_trace_url(Topic.LOAD, "", "shoppers") == ""  # no page is configured


def test_failures_are_marked_and_no_answer_is_exported(shop: Receiver, collector: Receiver) -> None:
    run = carry_out()
    send_due()
    assert run.outcome == "failed"
    spans = read_spans(collector.requests)
    failed = {name for name, span in spans.items() if span.status.code == span.status.STATUS_CODE_ERROR}
    assert {"run traced", "validation it answers"} <= failed
    assert failed.isdisjoint({"action break it", "fault break it", "validation with a trace of its own"})
    assert not any(b"my-answer" in gzip.decompress(sent.body) for sent in collector.requests)


def test_a_trace_that_was_refused_is_sent_again_with_the_same_ids(
    shop: Receiver, collector: Receiver, settings: Settings, admin_client: Client
) -> None:
    settings.TRACE_URL = "https://traces.example.com/trace/{trace_id}"
    collector.statuses = [503, 200]
    run = carry_out()
    page = f"/admin/scenarios/run/{run.pk}/change/"
    missing = "The collector has not taken the trace of this run yet"
    assert missing not in admin_client.get(page).content.decode()
    send_due()
    assert missing in admin_client.get(page).content.decode()
    assert Delivery.objects.get().state == DeliveryState.PENDING
    Delivery.objects.update(next_try_at=timezone.now())
    send_due()
    assert Delivery.objects.get().state == DeliveryState.DELIVERED
    assert missing not in admin_client.get(page).content.decode()
    first, second = (sorted(s.span_id for s in read_spans([sent]).values()) for sent in collector.requests)
    assert first == second


def test_no_trace_is_written_without_an_endpoint(shop: Receiver) -> None:
    carry_out()
    assert not Delivery.objects.exists()


def test_a_trace_waits_while_no_endpoint_is_set(settings: Settings, collector: Receiver) -> None:
    telling = Telling()
    telling.tell("run_started")
    telling.begin()
    telling.finish()
    settings.TRACES_ENDPOINT = ""
    send_due()
    assert not collector.requests
    assert [row.message for row in Delivery.objects.pending()] == [Message.TRACE]


def test_steps_that_a_dead_worker_left_open_end_with_the_run(collector: Receiver) -> None:
    telling = Telling()
    telling.tell("run_started", attempt=1)
    telling.tell("phase_started")
    telling.tell("action_started", "slow")
    telling.tell("run_taken_over")
    telling.finish()
    send_due()
    spans = read_spans(collector.requests)
    assert spans["action slow"].status.message == "it did not come to its end"
    assert spans["action slow"].end_time_unix_nano >= spans["action slow"].start_time_unix_nano


def test_a_long_trace_is_sent_in_parts(
    shop: Receiver, collector: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "SPANS_PER_REQUEST", 2)
    carry_out()
    send_due()
    assert len(collector.requests) > 2
    assert {"run traced", "fault break it"} <= set(read_spans(collector.requests))
