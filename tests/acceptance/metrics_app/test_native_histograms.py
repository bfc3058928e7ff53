"""A real Prometheus scrapes native histograms of several processes and tells their quantiles."""

import json
import random
import statistics
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from tests.other_process import OtherProcess
from tests.servers.loopback import wait_for
from tests.servers.prometheus_server import prometheus, scraping
from tests.servers.serving import serving

SCHEMA_ERROR = 2 ** (1 / 8) - 1
"""How far the bounds of a bucket are apart, in parts of the lower one."""


@contextmanager
def served(metrics: PrometheusMetricsAdapter) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            handler, accept = metrics.get_http_handler(), self.headers["Accept"]
            content = handler(accept)
            self.send_response(200)
            self.send_header("Content-Type", handler.content_type(accept))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with serving(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_port


def ask(address: str, query: str) -> float | None:
    parameters = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{address}/api/v1/query?{parameters}", timeout=300) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else None


@pytest.mark.prometheus
def test_quantiles_are_right_within_the_error_of_the_schema(tmp_path: Path) -> None:
    chosen = random.Random(5)  # noqa: S311 - a distribution
    observed = [chosen.lognormvariate(-3, 0.8) for _ in range(2000)]
    metrics = PrometheusMetricsAdapter(directory=tmp_path / "metrics", native_histograms=True)
    for number in observed[::2]:
        metrics.observe_histogram("waited_seconds", number, {})
    with OtherProcess(tmp_path / "metrics") as other:
        other.run("metrics._files.changing_native = metrics._families.changing")
        other.run(f"[metrics.observe_histogram('waited_seconds', n, {{}}) for n in {observed[1::2]!r}]")
        other.kill()
    native = "--enable-feature=native-histograms"
    with served(metrics) as port:
        config = scraping(tmp_path / "prometheus.yml", port)
        with prometheus(config, tmp_path / "tsdb", native) as address:
            wait_for(lambda: ask(address, "orders_total") == 1, what="the target is scraped")
            assert ask(address, "histogram_count(waited_seconds)") == len(observed)
            assert ask(address, "histogram_sum(waited_seconds)") == pytest.approx(sum(observed))
            percentiles = statistics.quantiles(observed, n=100)
            for percent in (1, 25, 50, 90, 99):
                found = ask(address, f"histogram_quantile({percent / 100}, waited_seconds)")
                assert found == pytest.approx(percentiles[percent - 1], rel=SCHEMA_ERROR)
    metrics.close()
