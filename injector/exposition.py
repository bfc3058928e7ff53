"""The proxy's own metrics, in Prometheus's text format."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from injector.leases import FaultTable
from injector.relay import Relay


class Metric(NamedTuple):
    """One value for each listener."""

    name: str
    kind: str
    meaning: str
    read: Callable[[Relay], float]


METRICS = (
    Metric("connections_total", "counter", "Client connections.", lambda relay: relay.counts.connections),
    Metric("connections_open", "gauge", "Open connections.", lambda relay: len(relay.open)),
    Metric(
        "upstream_failures_total",
        "counter",
        "Connections whose upstream was away.",
        lambda relay: relay.counts.failed,
    ),
    Metric(
        "upstream_certificate_failures_total",
        "counter",
        "Connections whose upstream has a certificate that is not trusted.",
        lambda relay: relay.counts.distrusted,
    ),
    Metric(
        "connections_broken_total",
        "counter",
        "Connections that a fault refused or reset.",
        lambda relay: relay.counts.refused + relay.counts.reset,
    ),
    Metric(
        "connections_turned_away_total",
        "counter",
        "Connections that were reset because the limit of open files allows no more.",
        lambda relay: relay.counts.turned_away,
    ),
    Metric(
        "unreadable_connections_total",
        "counter",
        "Connections that did not use HTTP/1.1 while HTTP faults were active.",
        lambda relay: relay.counts.unread,
    ),
    Metric("listening", "gauge", "1 while clients can connect.", lambda relay: relay.is_listening),
    Metric(
        "listen_failures_total",
        "counter",
        "Attempts to listen again after a refusal, while the port was taken.",
        lambda relay: relay.counts.listening_failed,
    ),
    Metric(
        "http_faulty_requests_total",
        "counter",
        "Requests that an HTTP fault affected.",
        lambda relay: relay.counts.faulty_requests,
    ),
)


def write_exposition(relays: Mapping[str, Relay], faults: FaultTable) -> str:
    return "\n".join(_list_lines(relays, faults)) + "\n"


def _list_lines(relays: Mapping[str, Relay], faults: FaultTable) -> Iterator[str]:
    for metric in METRICS:
        yield from _head(metric.name, metric.kind, metric.meaning)
        for name, relay in relays.items():
            yield f'fault_proxy_{metric.name}{{listener="{name}"}} {float(metric.read(relay))}'
    yield from _head("bytes_total", "counter", "Bytes forwarded.")
    for name, relay in relays.items():
        for direction, size in zip(("up", "down"), relay.bytes_passed, strict=True):
            yield f'fault_proxy_bytes_total{{listener="{name}",direction="{direction}"}} {float(size)}'
    yield from _head(
        "certificate_expiry_timestamp_seconds", "gauge", "When the listener's certificate expires."
    )
    for name, relay in relays.items():
        if relay.validity is not None:
            expires = relay.validity.expires.timestamp()
            yield f'fault_proxy_certificate_expiry_timestamp_seconds{{listener="{name}"}} {expires}'
    yield from _head("faults", "gauge", "Faults that are active now.")
    for name in relays:
        yield f'fault_proxy_faults{{listener="{name}"}} {len(faults.of_listener(name))}'
    yield from _head("faults_expired_total", "counter", "Faults that ended by themselves.")
    yield f"fault_proxy_faults_expired_total {faults.expired}"


def _head(name: str, kind: str, meaning: str) -> Iterator[str]:
    yield f"# HELP fault_proxy_{name} {meaning}"
    yield f"# TYPE fault_proxy_{name} {kind}"
