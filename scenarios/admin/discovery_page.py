"""The page *Find services*: what container engines and clusters know of, with links to register it."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode

from scenarios.admin.pages import PageAdmin, page
from scenarios.domain.errors import StepFailed
from scenarios.drivers.kubernetes.clusters import NoCluster, list_clusters
from scenarios.library.cluster_services import list_cluster_services
from scenarios.library.discovery import discover_services


class Source(NamedTuple):
    """Where services are looked for; `query` is for the address of the part that lists them."""

    title: str
    query: str


class FoundService(NamedTuple):
    """`source` is what it is found by; `address` is that of a form to register it, or of its page."""

    source: str
    urls: tuple[str, ...]
    registered: str
    address: str


class DiscoveryPage(PageAdmin):
    @page("discover/", permission="add")
    def discovery_page(self, request: HttpRequest) -> HttpResponse:
        """Names the places; each is asked in a request of its own, so that none delays the page."""
        namespace = request.GET.get("namespace", "").strip()
        cluster = request.GET.get("cluster", "").strip()
        clusters = _list_clusters()
        context: dict[str, Any] = {"namespace": namespace, "cluster": cluster, "clusters": clusters}
        context["sources"] = [*_list_engines(), *_list_namespaces(clusters, cluster, namespace)]
        return self.render(request, "admin/scenarios/service/discover.html", "Find services", **context)

    @page("discovered/", permission="add")
    def discovered_page(self, request: HttpRequest) -> HttpResponse:
        """The services of the engine, or of the namespace of a cluster, that the address names."""
        engine, namespace = request.GET.get("engine", ""), request.GET.get("namespace", "")
        failures: list[str] = []
        found: list[FoundService] = []
        if engine:
            discovery = discover_services(engine)
            failures = discovery.failures
            found = [
                _offer(f"{one.project} {one.service}".strip(), one.name, one.urls, one.registered)
                for one in discovery.services
            ]
        else:
            try:
                listed = list_cluster_services(namespace, request.GET.get("cluster") or None)
                found = [_offer(one.name, one.name, (one.url,), one.registered) for one in listed]
            except StepFailed as error:
                failures = [str(error)]
        context = {"found": found, "failures": failures}
        return TemplateResponse(request, "admin/scenarios/service/discovered.html", context)


def _list_engines() -> Iterator[Source]:
    for name in sorted(settings.CONTAINER_ENGINES):
        yield Source(f"Compose projects of the container engine {name}", urlencode({"engine": name}))


def _list_clusters() -> list[str]:
    try:
        return list_clusters()
    except NoCluster:
        return []


def _list_namespaces(clusters: list[str], cluster: str, namespace: str) -> Iterator[Source]:
    """The one that was asked for, or those of the settings."""
    for one in [cluster] if cluster else clusters:
        for name in [namespace] if namespace else settings.KUBERNETES_NAMESPACES:
            words = urlencode({"namespace": name, "cluster": one})
            yield Source(f"Namespace {name} of the cluster {one}", words)


def _offer(source: str, name: str, urls: tuple[str, ...], registered: str) -> FoundService:
    if registered:
        address = f"{reverse('admin:scenarios_service_changelist')}?{urlencode({'q': registered})}"
    elif urls:
        words = urlencode({"name": name, "base_url": urls[0]})
        address = f"{reverse('admin:scenarios_service_add')}?{words}"
    else:
        address = ""
    return FoundService(source, urls, registered, address)
