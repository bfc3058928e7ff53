"""The page of a service suggests what to break: dependencies that are seen, and that nothing breaks yet."""

import html
import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.drivers.documents import read_document
from scenarios.language.document import build_plan
from scenarios.library import proxy_checks, suggestions
from scenarios.library.adapted_documents import adapt_document
from scenarios.library.scenarios import save_scenario
from scenarios.library.suggestions import list_suggestions
from scenarios.models import Service
from scenarios.suites.documents import read_suite
from scenarios.suites.storage import save_suite
from tests.servers.false_prometheus import false_prometheus
from tests.servers.fault_proxy import TOKEN, running_fault_proxy
from tests.servers.loopback import wait_for
from tests.servers.prometheus_server import prometheus

pytestmark = pytest.mark.django_db(transaction=True)

CATALOGUE = Path(__file__).parents[4] / "scenarios" / "catalogue"
SLOW = (CATALOGUE / "dependency-slow.yaml").read_text()
CALLS = [
    ("traces_service_graph_request_total", {"client": "shop", "server": "shop-db"}),
    ("http_client_request_duration_seconds_count", {"job": "shop", "server_address": "payments.internal"}),
    ("db_client_operation_duration_seconds_count", {"service_name": "shop", "server_address": "10.0.0.7"}),
    ("istio_requests_total", {"source_workload": "shop", "destination_service_name": "shop"}),
    ("istio_requests_total", {"source_workload": "another", "destination_service_name": "cache"}),
]


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", TOKEN)
    settings.PROMETHEUS_URL = ""
    # Longer than any machine needs: what was not answered in time is not asked again for a minute.
    monkeypatch.setattr(suggestions, "SECONDS", 120)
    monkeypatch.setattr(proxy_checks, "TIME_LIMIT", 120)
    cache.clear()


def register(name: str, base_url: str = "http://127.0.0.1:9", **fields: str) -> Service:
    return Service.objects.create(name=name, base_url=base_url, **fields)


def save_slow(dependency: str) -> None:
    save_scenario(read_document(adapt_document(SLOW, f"{dependency}-slow", {"dependency": dependency})))


def read_section(client: Client, service: Service) -> str:
    page = client.get(reverse("admin:scenarios_service_change", args=[service.pk])).content.decode()
    address = reverse("admin:scenarios_service_suggestions", args=[service.pk])
    assert f'hx-get="{address}" hx-trigger="load"' in page
    return client.get(address).content.decode()


def find_links(section: str, page: str) -> list[str]:
    return [html.unescape(found) for found in re.findall(rf'href="({re.escape(page)}\?[^"]+)"', section)]


def test_upstream_of_a_fault_proxy_is_suggested_until_a_scenario_or_suite_breaks_it(
    admin_client: Client,
) -> None:
    save_scenario(read_document(SLOW))
    with running_fault_proxy("127.0.0.1:9", listeners=3) as proxy:
        shop, cache_service = (
            register(name, proxy=proxy.control, proxy_listener=listener)
            for name, listener in zip(("shop", "cache"), proxy.listeners, strict=False)
        )
        assert [one.name for one in list_suggestions(shop)] == ["127.0.0.1:9", "cache", "shop"]
        save_slow("cache")
        assert [one.name for one in list_suggestions(shop)] == ["127.0.0.1:9", "shop"]
        save_suite(
            read_suite(
                "apiVersion: coordinator/v1\nkind: Suite\nmetadata: {name: all}\nspec:\n  service: cache\n"
                "  healthy: {probe: {tcp: {service: cache}}, expect: {connected: true}}\n"
                "  depends_on: [{service: shop, kind: http, must: survive}]\n"
            )
        )
        (unknown,) = list_suggestions(shop)
        assert (unknown.service, unknown.at) == (None, proxy.listeners[2])
        section = read_section(admin_client, shop)
        (address,) = find_links(section, reverse("admin:scenarios_service_add"))
        form = admin_client.get(address).content.decode()
        assert f'value="{proxy.listeners[2]}"' in form
        assert cache_service.proxy in form


@pytest.mark.prometheus
def test_called_services_in_prometheus_are_suggested_with_a_scenario_and_a_suite(
    admin_client: Client, settings: Settings, tmp_path: Path
) -> None:
    rules = [{"record": metric, "expr": "vector(1)", "labels": labels} for metric, labels in CALLS]
    group = {"name": "calls", "interval": "1s", "rules": rules}
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [group]}))
    (tmp_path / "prometheus.yml").write_text(json.dumps({"rule_files": [str(tmp_path / "rules.yml")]}))
    save_scenario(read_document(SLOW))
    shop = register("shop", health_path="/price")
    register("payments")
    register("shop-db", "postgres://10.0.0.9:5432", proxy="http://127.0.0.1:1")
    with prometheus(tmp_path / "prometheus.yml", tmp_path / "data") as settings.PROMETHEUS_URL:

        def list_names() -> list[str]:
            cache.clear()
            return [one.name for one in list_suggestions(shop)]

        wait_for(lambda: list_names() == ["10.0.0.7", "payments", "shop-db"], what="the calls are recorded")
        section = read_section(admin_client, shop)
    assert "calls to it in traces_service_graph_request_total" in section
    assert "To break it, enter its fault proxy." in section  # of payments
    (address,) = find_links(section, reverse("admin:scenarios_scenario_add"))
    document = str(admin_client.get(address).context["adminform"].form.initial["document"])
    plan = build_plan(read_document(document), {})
    assert plan.scenario == "shop-db-slow"
    (action,) = (action for phase in plan.phases for action in phase.actions)
    assert action.do.arguments["service"] == "shop-db"
    assert plan.phases[0].validations[0].probe.arguments["path"] == "/price"
    (address,) = find_links(section, reverse("admin:scenarios_suite_add"))
    suite = read_suite(parse_qs(urlsplit(address).query)["document"][0])
    kinds = {dependency.service: dependency.kind for dependency in suite.spec.depends_on}
    assert kinds == {"payments": "http", "shop-db": "postgresql"}


def test_servers_that_do_not_answer_keep_nobody_waiting_and_are_asked_once(
    admin_client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suggestions, "SECONDS", 0.5)
    shop = register("shop", proxy="http://127.0.0.1:1")
    with false_prometheus() as server:
        server.hangs = True
        settings.PROMETHEUS_URL = server.url
        for _number in range(2):
            assert read_section(admin_client, shop).strip() == ""
        assert [form["query"] for form in server.asked[1:]] == []


def test_a_copy_keeps_what_it_does_not_replace() -> None:
    copy = adapt_document(SLOW, "cache-slow", {"dependency": "cache", "unknown": "x"})
    changed = [
        (old, new) for old, new in zip(SLOW.splitlines(), copy.splitlines(), strict=True) if old != new
    ]
    assert [new for _old, new in changed] == [
        "  name: cache-slow",
        next(line for line in SLOW.splitlines() if "dependency:" in line).replace("price-feed", "cache"),
    ]


def test_an_address_cannot_put_other_words_into_a_copy(admin_client: Client) -> None:
    stored = save_scenario(read_document(SLOW))
    address = reverse("admin:scenarios_scenario_add")
    answers = [
        admin_client.get(address, {"copy_of": str(stored.pk), **words})
        for words in ({"name": "a: {b"}, {"name": "fine", "dependency": "x, default: y"})
    ]
    first, second = (str(answer.context["adminform"].form.initial["document"]) for answer in answers)
    assert first == SLOW
    assert second == SLOW.replace("name: dependency-slow", "name: fine", 1)
