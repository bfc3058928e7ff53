"""What is deleted in the admin goes by the same rule as over the API, one by one or selected in the list."""

import pytest
from django.contrib.auth.models import User
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from scenarios.domain.outcomes import Rollback
from scenarios.library import services as registered_services
from scenarios.models import Schedule, Service
from tests.integration.scenarios.planned_rows import exchange, scheduled, stored
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

REFUSED = "Nothing was deleted. Service &#x27;exchange&#x27; cannot be deleted now, because it is held by"


@pytest.fixture
def telling() -> Telling:
    """A run that holds the exchange, where it has injected a fault."""
    exchange()
    telling = Telling()
    telling.begin()
    return telling


def delete(client: Client, row: Model) -> str:
    address = reverse(f"admin:scenarios_{row._meta.model_name}_delete", args=[row.pk])
    return client.post(address, {"post": "yes"}, follow=True).content.decode()


def delete_selected(client: Client, *rows: Model) -> str:
    address = reverse(f"admin:scenarios_{rows[0]._meta.model_name}_changelist")
    chosen = {"action": "delete_selected", "_selected_action": [row.pk for row in rows], "post": "yes"}
    return client.post(address, chosen, follow=True).content.decode()


def test_held_service_is_not_deleted_and_the_page_says_why(admin_client: Client, telling: Telling) -> None:
    content = delete(admin_client, Service.objects.get())
    assert REFUSED in content
    assert str(telling.run) in content
    assert "was deleted successfully" not in content
    assert Service.objects.exists()


def test_service_with_a_fault_is_not_deleted(admin_client: Client, telling: Telling) -> None:
    telling.finish(Rollback.DIRTY)
    assert "with a fault that is not undone" in delete(admin_client, Service.objects.get())
    assert Service.objects.exists()


def test_no_selected_service_is_deleted_if_one_is_held(admin_client: Client, telling: Telling) -> None:
    free = registered_services.register_service("shop", "http://127.0.0.1:9000")
    content = delete_selected(admin_client, free, Service.objects.get(name="exchange"))
    assert REFUSED in content
    assert "Successfully deleted" not in content
    assert Service.objects.count() == 2
    history = admin_client.get(reverse("admin:scenarios_service_history", args=[free.pk])).content.decode()
    assert "Deleted" not in history


def test_free_services_and_schedules_are_deleted(admin_client: Client, admin_user: User) -> None:
    stored()
    assert "was deleted successfully" in delete(admin_client, scheduled(admin_user))
    rows = [scheduled(admin_user, name=name) for name in ("nightly", "weekly")]
    assert "Successfully deleted 2 schedules" in delete_selected(admin_client, *rows)
    assert "Successfully deleted 1 service" in delete_selected(admin_client, exchange())
    assert not Schedule.objects.exists()
    assert not Service.objects.exists()
