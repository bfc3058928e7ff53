"""A collector on loopback that decodes the real protobuf, and can be down, refuse, or hang."""

import gzip
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, Metric, NumberDataPoint

Labels = tuple[tuple[str, str], ...]


class Push:
    """One request that arrived: the resource that sent it, and its metrics by name."""

    def __init__(self, body: bytes, headers: dict[str, str]) -> None:
        request = ExportMetricsServiceRequest.FromString(body)
        [resource_metrics] = request.resource_metrics
        self.headers = headers
        self.resource = strings(resource_metrics.resource.attributes)
        self.instance_id = self.resource["service.instance.id"]
        self.metrics: dict[str, Metric] = {
            metric.name: metric for scope in resource_metrics.scope_metrics for metric in scope.metrics
        }


class Receiver:
    """What was pushed to it, oldest first."""

    def __init__(self) -> None:
        self.pushes: list[Push] = []
        self.answer = 200
        self.answering = threading.Event()
        self.answering.set()
        self._arrived = threading.Condition()
        self._asked = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def arrived(self, push: Push) -> int:
        self._asked.set()
        self.answering.wait()
        with self._arrived:
            if self.answer == 200:
                self.pushes.append(push)
            self._arrived.notify_all()
        return self.answer

    def wait_until_asked(self) -> None:
        assert self._asked.wait(300), "nobody pushed"

    def wait_for(self, pushes: int) -> None:
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.pushes) >= pushes, 30), "too few pushes"

    def newest(self) -> list[Push]:
        """The last push of each instance."""
        return list({push.instance_id: push for push in self.pushes}.values())

    def exposition(self) -> bytes:
        """The sum over the instances, as Prometheus would have it with the constant labels."""
        sums: dict[tuple[str, Labels], float] = {}
        for push in self.newest():
            constant = {
                "service": push.resource["service.name"],
                "version": push.resource.get("service.version", ""),
                "instance": push.instance_id.rpartition(".")[0],
            }
            for name, labels, value in samples(push.metrics.values()):
                key = name, tuple(sorted({**labels, **constant}.items()))
                sums[key] = sums.get(key, 0.0) + value
        lines = [f"{name}{{{_text(labels)}}} {value}\n" for (name, labels), value in sums.items()]
        return "".join(lines).encode()

    @contextmanager
    def listening(self) -> Iterator["Receiver"]:
        self._thread.start()
        try:
            yield self
        finally:
            self.answering.set()
            self.stop()

    def stop(self) -> None:
        """Be down: nobody listens any more."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def strings(attributes: Iterable[KeyValue]) -> dict[str, str]:
    return {attribute.key: attribute.value.string_value for attribute in attributes}


def samples(metrics: Iterable[Metric]) -> Iterator[tuple[str, dict[str, str], float]]:
    for metric in metrics:
        if metric.HasField("histogram"):
            for point in metric.histogram.data_points:
                yield from _histogram_samples(metric.name, point)
        else:
            for number in (metric.sum if metric.HasField("sum") else metric.gauge).data_points:
                yield metric.name, strings(number.attributes), find_number(number)


def find_number(point: NumberDataPoint) -> float:
    return point.as_double if point.HasField("as_double") else float(point.as_int)


def _histogram_samples(name: str, point: HistogramDataPoint) -> Iterator[tuple[str, dict[str, str], float]]:
    labels = strings(point.attributes)
    below = 0
    for bound, count in zip([*point.explicit_bounds, float("inf")], point.bucket_counts, strict=True):
        below += count
        yield f"{name}_bucket", {**labels, "le": "+Inf" if bound == float("inf") else str(bound)}, below
    yield f"{name}_count", labels, point.count
    yield f"{name}_sum", labels, point.sum


def _text(labels: Labels) -> str:
    escaped = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
    return ",".join(f'{name}="{value.translate(escaped)}"' for name, value in labels)


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            code = receiver.arrived(Push(body, {**headers, ":path": self.path}))
            try:
                self.send_response(code)
                self.end_headers()
            except ConnectionError:
                pass  # it waited no longer

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    return Handler
