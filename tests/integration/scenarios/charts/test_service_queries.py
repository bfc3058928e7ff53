"""A service's queries: given with it, changed on its page by who may change it, checked by Prometheus."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.library import services as registered_services
from scenarios.models import Service, ServiceQuery
from tests.servers.false_prometheus import FalsePrometheus, false_prometheus

pytestmark = pytest.mark.django_db

ADD = "/admin/scenarios/service/add/"
DEFAULT_TITLES = ["Requests", "Errors (5xx)", "Duration, 99th percentile"]


@pytest.fixture
def server(settings: Settings) -> Iterator[FalsePrometheus]:
    with false_prometheus() as running:
        settings.PROMETHEUS_URL = running.url
        yield running


def form(*queries: dict[str, Any], before: int = 0) -> dict[str, Any]:
    data: dict[str, Any] = {"name": "shop", "base_url": "http://127.0.0.1:9000", "description": ""}
    data |= {"queries-TOTAL_FORMS": len(queries), "queries-INITIAL_FORMS": before}
    for number, query in enumerate(queries):
        data |= {f"queries-{number}-{name}": value for name, value in query.items()}
    return data


def titles() -> list[str]:
    return list(ServiceQuery.objects.filter(service__name="shop").values_list("title", flat=True))


def test_a_registered_service_has_rate_errors_and_p99_and_keeps_what_was_taken_away() -> None:
    service = registered_services.register_service("shop", "http://127.0.0.1:9000")
    assert titles() == DEFAULT_TITLES
    service.queries.first().delete()  # type: ignore[union-attr]
    registered_services.register_service("shop", "http://127.0.0.1:9001")
    assert titles() == DEFAULT_TITLES[1:]


def test_the_page_of_a_new_service_offers_them_and_saves_those_that_are_left(admin_client: Client) -> None:
    content = admin_client.get(ADD).content.decode()
    for words in (*DEFAULT_TITLES, "histogram_quantile(0.99"):
        assert words in content
    kept = {"title": "Requests", "query": "sum(rate(x[$window]))", "unit": "per second"}
    emptied = {"title": "", "query": "", "unit": "share"}
    assert admin_client.post(ADD, form(kept, emptied)).status_code == 302
    assert titles() == ["Requests"]


def test_a_query_is_changed_on_the_service_page(admin_client: Client) -> None:
    service = registered_services.register_service("shop", "http://127.0.0.1:9000")
    row = service.queries.first()
    assert row is not None
    changed = {
        "id": row.pk,
        "service": service.pk,
        "title": "Orders",
        "query": "sum(orders)",
        "unit": "number",
    }
    page = reverse("admin:scenarios_service_change", args=[service.pk])
    assert admin_client.post(page, form(changed, before=1)).status_code == 302
    row.refresh_from_db()
    assert (row.title, row.query) == ("Orders", "sum(orders)")


def test_an_unknown_placeholder_is_refused_with_the_known_ones(admin_client: Client) -> None:
    answer = admin_client.post(ADD, form({"title": "x", "query": "x[$range]", "unit": "number"}))
    assert "unknown placeholder" in answer.content.decode()
    assert not Service.objects.exists()


def test_a_query_that_prometheus_refuses_is_refused_with_its_reason(
    admin_client: Client, server: FalsePrometheus
) -> None:
    server.reply = lambda _form: (400, b'{"status": "error", "error": "unexpected right parenthesis"}')
    query = {"title": "x", "query": "sum(x{service='$service'}[$window]))", "unit": "number"}
    assert "unexpected right parenthesis" in admin_client.post(ADD, form(query)).content.decode()
    assert server.asked[0]["query"] == "sum(x{service='some-service'}[60s]))"
    assert not Service.objects.exists()


def test_a_query_is_taken_while_prometheus_is_away(admin_client: Client, settings: Settings) -> None:
    settings.PROMETHEUS_URL = "http://127.0.0.1:1"
    admin_client.post(ADD, form({"title": "x", "query": "up", "unit": "number"}))
    assert titles() == ["x"]


def test_viewers_see_the_queries_of_a_service_and_cannot_change_them(client: Client) -> None:
    service = registered_services.register_service("shop", "http://127.0.0.1:9000")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_service"))
    client.force_login(viewer)
    page = reverse("admin:scenarios_service_change", args=[service.pk])
    content = client.get(page).content.decode()
    assert "histogram_quantile(0.99" in content
    assert "<textarea" not in content
    assert client.post(page, form()).status_code == 403
