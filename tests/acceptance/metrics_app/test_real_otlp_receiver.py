"""What the OpenTelemetry adapter pushes is understood by a receiver that shares no code with it."""

from pathlib import Path

import pytest

from tests.acceptance.metrics_app.test_gunicorn_pushes import BACKEND, ask, gunicorn
from tests.servers.loopback import wait_for
from tests.servers.victoria_metrics import victoria_metrics

pytestmark = pytest.mark.victoria_metrics

REQUESTS = 60


def test_a_real_receiver_counts_every_request_of_all_workers(tmp_path: Path) -> None:
    recycled = {"WEB_CONCURRENCY": "2", "WEB_MAX_REQUESTS": "20", "WEB_MAX_REQUESTS_JITTER": "5"}
    with victoria_metrics(tmp_path) as receiver:
        push = {
            "METRICS_BACKEND": BACKEND,
            "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": receiver.otlp_endpoint,
            "NO_PROXY": "127.0.0.1",
        }
        with gunicorn(tmp_path, **recycled, **push) as port:
            codes = {ask(port) for _ in range(REQUESTS)}

        def count(name: str) -> float:
            # A worker that has ended pushes no more; what it counted remains.
            found = receiver.query(f"sum(last_over_time({name}[1h]))")
            return found[0][1] if found else 0.0

        wait_for(lambda: count("http_requests_total") >= REQUESTS, what="every request has arrived")
        assert count("http_requests_total") == count("http_request_duration_seconds_count") == REQUESTS
        assert count('http_request_duration_seconds_bucket{le="+Inf"}') == REQUESTS
        series = receiver.query("last_over_time(http_requests_total[1h])")
        assert {int(labels["code"]) for labels, _ in series} == codes
        assert {labels["service_name"] for labels, _ in series} == {"test-coordinator"}
