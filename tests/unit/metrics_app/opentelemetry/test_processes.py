"""Each process pushes what it counted itself, also when it ends, and also when it was forked."""

import subprocess
import sys

import pytest

from tests.exposition import value
from tests.otlp_receiver import Push, Receiver, find_number

BEGIN = """
import os, sys, threading
from metrics_app.adapters.opentelemetry import OpenTelemetryMetricsAdapter, adapter
from metrics_app.ports import GaugeSample, MetricsLabels

adapter.LAST_PUSH_SECONDS = 300.0  # longer than any machine needs
metrics = OpenTelemetryMetricsAdapter(MetricsLabels(service="shop", instance="shop-1"))
metrics.register_scrape_gauges(lambda: [GaugeSample("scenario_runs", {"state": "queued"}, 1)])
recorder = metrics.request_recorder()
orders = metrics.bind_counter("orders_total", {})

def request():
    recorder.begin("GET")
    recorder.finish(("GET", "home", 200), 0.1)
    orders.inc()
"""


def run(program: str) -> None:
    # Python 3.12 warns of a fork beside threads, which is what is tried here.
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *warnings, "-c", BEGIN + program]
    ended = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=600, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def orders(push: Push) -> float:
    return find_number(push.metrics["orders_total"].sum.data_points[0])


@pytest.mark.parametrize(
    "ending",
    ["", "sys.exit()", "threading.Thread(target=request).start()", "metrics.close(); request()"],
    ids=["falls through", "exits", "a thread outlives main", "recorded after closing"],
)
def test_nothing_is_lost_when_a_process_ends(receiver: Receiver, ending: str) -> None:
    run(f"for _ in range(10): request()\n{ending}")
    extra = "request" in ending
    assert value(receiver.exposition(), "orders_total") == 10 + extra
    assert value(receiver.exposition(), "http_request_duration_seconds_count") == 10 + extra


def test_a_forked_child_pushes_its_own_counts_as_an_instance_of_its_own(receiver: Receiver) -> None:
    run("request(); child = os.fork(); request(); child and os.waitpid(child, 0); child and request()")
    assert sorted(orders(push) for push in receiver.newest()) == [1, 3]
    assert value(receiver.exposition(), "http_request_duration_seconds_count") == 4
    assert value(receiver.exposition(), "http_requests_in_progress") == 0


def test_a_child_forked_while_its_parent_pushes_waits_for_no_lock_of_it(receiver: Receiver) -> None:
    run(
        "request()\n"
        "for _ in range(10):\n"
        "    threading.Thread(target=metrics.push_now).start()\n"
        "    child = os.fork()\n"
        "    request()\n"
        "    if not child: break\n"
        "    os.waitpid(child, 0)\n"
    )
    assert sorted(orders(push) for push in receiver.newest()) == [*[1] * 10, 11]


def test_a_child_that_records_nothing_pushes_nothing(receiver: Receiver) -> None:
    run("request(); child = os.fork(); child and os.waitpid(child, 0)")
    assert len(receiver.newest()) == 1
