"""Dependencies of a service that Prometheus or its fault proxy shows, and that no stored scenario breaks.

What is asked of others is limited in time and kept for a minute. What scenarios break is read each time.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.conf import settings
from django.core.cache import cache

from scenarios.domain.counts import format_count
from scenarios.domain.errors import InvalidDocument, InvalidVariables, StepFailed
from scenarios.domain.plan import find_services, origin
from scenarios.drivers.documents import read_document
from scenarios.drivers.prometheus import query_api
from scenarios.language.document import build_plan
from scenarios.library.proxy_checks import NotUsable, read_listeners
from scenarios.models import NamedService, Scenario, Service, SuiteCell

SECONDS = 3.0
KEPT_SECONDS = 60
MAX_SUGGESTIONS = 10
MAX_SEEN = 50
# Documents that are read to see what they break.
MAX_SCENARIOS, MAX_USES = 30, 1000
# Counters of calls: the metric, the labels that may name the client, and the label of the server. They are
# OpenTelemetry's (service graphs; clients of HTTP, databases and RPC), Istio's, Envoy's and Spring's.
CALLS: Sequence[tuple[str, Sequence[str], str]] = (
    ("traces_service_graph_request_total", ("client",), "server"),
    ("http_client_request_duration_seconds_count", ("job", "service_name"), "server_address"),
    ("db_client_operation_duration_seconds_count", ("job", "service_name"), "server_address"),
    ("rpc_client_duration_milliseconds_count", ("job", "service_name"), "server_address"),
    ("istio_requests_total", ("source_workload", "source_app"), "destination_service_name"),
    ("envoy_cluster_upstream_rq_total", ("job", "service"), "envoy_cluster_name"),
    ("http_client_requests_seconds_count", ("job", "application"), "client_name"),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A dependency by its name or address; `at` is the listener of the fault proxy that leads to it."""

    name: str
    how: str
    at: str = ""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`service` is the dependency if it is registered. `scenario` is that of the catalogue which breaks it;
    None if it needs a fault proxy first.
    """

    name: str
    how: str
    at: str
    service: Service | None
    scenario: Scenario | None

    @property
    def new_name(self) -> str:
        """A name for its own copy of the scenario."""
        if self.scenario is None:
            return ""
        return f"{self.name}-{self.scenario.name.removeprefix('dependency-')}"[:63].rstrip("-")


def list_suggestions(service: Service) -> list[Suggestion]:
    """The service's dependencies that no stored scenario and no suite breaks; at most MAX_SUGGESTIONS."""
    registered = list(Service.objects.all())
    found: dict[str, tuple[Seen, Service | None]] = {}
    for seen in _read_seen(service):
        known = _find_registered(seen, service, registered)
        found.setdefault(known.name if known else seen.name, (seen, known))
    names = [known.name for _seen, known in found.values() if known is not None]
    broken = find_broken(names)
    stored = {scenario.name: scenario for scenario in Scenario.objects.filter(name__in=_FIRST_TRIED)}
    return [
        Suggestion(name, seen.how, seen.at, known, _choose_scenario(known, stored))
        for name, (seen, known) in sorted(found.items())
        if name not in broken and (known != service or seen.at)
    ][:MAX_SUGGESTIONS]


def find_broken(services: Iterable[str]) -> set[str]:
    """Those that are a dependency in a suite, or that an action of a stored scenario names.

    Those that only scenarios beyond MAX_SCENARIOS name count as broken: it is not known that they are not.
    """
    names = set(services)
    broken = set(SuiteCell.objects.filter(dependency__in=names).values_list("dependency", flat=True))
    rows = NamedService.objects.filter(service__in=names - broken).order_by("scenario_id")
    uses = list(rows.values_list("service", "scenario_id")[:MAX_USES])
    keys = list(dict.fromkeys(key for _service, key in uses))
    for document in Scenario.objects.filter(pk__in=keys[:MAX_SCENARIOS]).values_list("document", flat=True):
        broken |= _find_acted_on(document) & names
    unread = set(keys[MAX_SCENARIOS:])
    broken |= {service for service, key in uses if key in unread}
    return broken


def _find_acted_on(document: str) -> set[str]:
    try:
        plan = build_plan(read_document(document), {})
    except (InvalidDocument, InvalidVariables):
        return set()
    return find_services(action.do for phase in plan.phases for action in phase.actions)


# Which scenario of the catalogue is tried first: behind a fault proxy, or by what the address speaks.
_BEHIND_PROXY = "dependency-slow"
_BY_SCHEME = {"redis": "redis-paused", "postgres": "postgresql-table-locked"}
_FIRST_TRIED = (_BEHIND_PROXY, *_BY_SCHEME.values())


def _choose_scenario(service: Service | None, stored: Mapping[str, Scenario]) -> Scenario | None:
    if service is None:
        return None
    scheme = service.base_url.partition("://")[0]
    return stored.get(_BEHIND_PROXY if service.proxy else _BY_SCHEME.get(scheme, ""))


def _find_registered(seen: Seen, service: Service, registered: Sequence[Service]) -> Service | None:
    if seen.at:
        same = [one for one in registered if one.proxy and origin(one.proxy) == origin(service.proxy)]
        return next((one for one in same if one.proxy_listener in {seen.at, ""}), None)
    host = seen.name.partition(":")[0]
    for names in ({seen.name}, {host.partition(".")[0]}):
        if (found := next((one for one in registered if one.name in names), None)) is not None:
            return found
    return next((one for one in registered if _has_address(one, seen.name)), None)


def _has_address(service: Service, address: str) -> bool:
    parts = urlsplit(service.base_url)
    return address in {parts.hostname, parts.netloc.rpartition("@")[2]}


# What others say


def _read_seen(service: Service) -> list[Seen]:
    key = f"seen-dependencies:{service.pk}:{service.name}:{service.proxy}:{settings.PROMETHEUS_URL}"
    seen: list[Seen] | None = cache.get(key)
    if seen is None:
        seen = asyncio.run(_look(service))
        cache.set(key, seen, KEPT_SECONDS)
    return seen


async def _look(service: Service) -> list[Seen]:
    found = await asyncio.gather(_ask_prometheus(service), _ask_proxy(service))
    return [seen for part in found for seen in part]


async def _ask_proxy(service: Service) -> list[Seen]:
    if not service.proxy:
        return []
    try:
        async with asyncio.timeout(SECONDS):
            listeners = await read_listeners(service)
    except (StepFailed, NotUsable, TimeoutError):
        return []  # the service's page says what is wrong with its proxy
    return list(_list_upstreams(listeners, origin(service.proxy)))[:MAX_SEEN]


def _list_upstreams(listeners: Mapping[str, object], proxy: str) -> Iterator[Seen]:
    for listener, state in listeners.items():
        upstream = state.get("upstream") if isinstance(state, dict) else None
        if isinstance(upstream, str) and isinstance(state, dict):
            open_ones = state.get("connections")
            number = format_count(open_ones, "connection") if isinstance(open_ones, int) else "connections"
            yield Seen(upstream, f"the fault proxy at {proxy} passes {number} on to it", listener)


async def _ask_prometheus(service: Service) -> list[Seen]:
    if not settings.PROMETHEUS_URL:
        return []
    try:
        async with asyncio.timeout(SECONDS):
            words = {"query": build_query(service.name)}
            data = await query_api(settings.PROMETHEUS_URL, "query", words, seconds=SECONDS)
    except (StepFailed, TimeoutError):
        return []
    return list(_list_servers(data.get("result")))[:MAX_SEEN]


def build_query(service: str) -> str:
    """The servers that the service calls, as series with the labels `__name__` and `dependency`."""
    selected = (
        f'label_replace({metric}{{{client}="{service}"}}, "dependency", "$1", "{server}", "(.+)")'
        for metric, clients, server in CALLS
        for client in clients
    )
    return f"topk({MAX_SEEN}, group by (__name__, dependency) ({' or '.join(selected)}))"


def _list_servers(result: object) -> Iterator[Seen]:
    for series in result if isinstance(result, list) else ():
        labels = series.get("metric") if isinstance(series, dict) else None
        name = labels.get("dependency") if isinstance(labels, dict) else None
        if isinstance(name, str) and name and isinstance(labels, dict):
            yield Seen(name[:200], f"Prometheus has calls to it in {labels.get('__name__', 'a metric')}")
