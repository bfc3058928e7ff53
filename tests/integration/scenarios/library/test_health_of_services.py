"""How a service is, by its own path and status; tried in the form before it is stored."""

import socket

import pytest
from django.test import Client
from django.urls import reverse

from scenarios.library import services as registered_services
from scenarios.library.service_health import check_health
from scenarios.models import Service
from tests.integration.scenarios.api.conftest import program, read_problem
from tests.servers.target import running_target

pytestmark = pytest.mark.django_db(transaction=True)


def test_health_uses_the_services_path_and_status(admin_client: Client, admin_user: object) -> None:
    ci = program(admin_user)  # type: ignore[arg-type]
    with running_target() as target:
        put = {"base_url": target.url, "health_path": "/health", "health_status": 404}
        assert ci.ask("PUT", "services/target", put).status_code == 201
        told = ci.get("services/target").json()
        assert (told["health_path"], told["health_status"]) == ("/health", 404)
        service = Service.objects.get()
        wrong = check_health(service)
        assert (wrong.is_well, "not 404" in wrong.sentence) == (False, True)
        assert (
            ci.ask("PUT", "services/target", {"base_url": target.url, "health_status": 0}).status_code == 200
        )
        service.refresh_from_db()
        assert (check_health(service).is_well, service.health_path) == (True, "/health")
        elsewhere = {"base_url": target.url, "health_path": "/nowhere", "health_status": 404}
        assert ci.ask("PUT", "services/target", elsewhere).status_code == 200
        service.refresh_from_db()
        assert check_health(service).sentence.startswith("/nowhere answered ")
        page = reverse("admin:scenarios_service_health", args=[service.pk])
        assert "/nowhere answered" in admin_client.get(page).content.decode()


@pytest.mark.parametrize("path", ["health", "", "//elsewhere", "/with space", "http://x/", "/a\nb"])
def test_invalid_health_paths_are_refused(admin_client: Client, admin_user: object, path: str) -> None:
    ci = program(admin_user)  # type: ignore[arg-type]
    read_problem(ci.ask("PUT", "services/bank", {"base_url": "http://127.0.0.1:1", "health_path": path}), 422)
    tried = admin_client.post(
        reverse("admin:scenarios_service_try"), {"base_url": "http://127.0.0.1:1", "health_path": path}
    )
    assert "unhealthy" in tried.content.decode()
    assert not Service.objects.exists()


def test_unsaved_service_can_be_tried(admin_client: Client, client: Client) -> None:
    address = reverse("admin:scenarios_service_try")
    with running_target() as target:
        given = {"base_url": target.url, "health_path": "/health", "health_status": "200"}
        assert "/health answered 200" in admin_client.post(address, given).content.decode()
        given["health_status"] = "204"
        assert "unhealthy" in admin_client.post(address, given).content.decode()
    assert client.post(address, given).status_code == 302
    assert not Service.objects.exists()
    assert "Check health" in admin_client.get(reverse("admin:scenarios_service_add")).content.decode()
    registered_services.register_service("bank", "http://127.0.0.1:1")
    assert Service.objects.get().health_path == "/health"


def test_service_that_does_not_speak_http_is_well_if_something_listens(admin_client: Client) -> None:
    page = reverse("admin:scenarios_service_try")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        service = registered_services.register_service("cache", address)
        assert check_health(service).sentence.startswith("accepted a connection after ")
        assert "accepted a connection" in admin_client.post(page, {"base_url": address}).content.decode()
    assert not check_health(service).is_well
    assert "refused the connection" in admin_client.post(page, {"base_url": address}).content.decode()
    assert not service.queries.exists()  # which count HTTP requests
