"""The pages and buttons that the admin's classes declare: URL, method, permission, and errors as messages."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import reverse

from scenarios.admin.pages import PageAdmin
from scenarios.models import Approval
from tests.integration.scenarios.planned_rows import asked_run, exchange, read_approval, someone

pytestmark = pytest.mark.django_db

FORBIDDEN = 403
KEYS = {
    "<uuid:pk>": UUID(int=1),
    "<int:pk>": 1,
    "<int:version>": 1,
    "<uuid:run>": UUID(int=1),
    "<slug:pk>": "commands",
}


def declared_addresses() -> Iterator[str]:
    admin.autodiscover()
    for model, model_admin in admin.site._registry.items():
        if isinstance(model_admin, PageAdmin):
            for pattern in model_admin.get_urls():
                if hasattr(pattern.callback, "route"):
                    parts = str(pattern.pattern).rstrip("/").split("/")
                    keys = [KEYS[part] for part in parts if part in KEYS]
                    yield reverse(f"admin:{pattern.name}", args=keys)
                    assert str(pattern.name).startswith(f"scenarios_{model._meta.model_name}_")


def test_each_declared_page_and_button_needs_a_permission(client: Client) -> None:
    client.force_login(someone("nobody"))
    addresses = list(declared_addresses())
    assert len(addresses) > 30
    for address in addresses:
        assert client.get(address).status_code == FORBIDDEN, address
        assert client.post(address).status_code == FORBIDDEN, address


def test_each_kind_of_row_is_either_added_or_refused(admin_client: Client) -> None:
    answers = {
        model._meta.model_name: admin_client.get(
            reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")
        ).status_code
        for model in admin.site._registry
    }
    assert set(answers.values()) == {200, FORBIDDEN}
    assert {answers[name] for name in ("run", "approval", "fault", "delivery")} == {FORBIDDEN}


def test_a_button_takes_no_get(admin_client: Client) -> None:
    for name in ("run_stop", "run_again", "approval_approve", "webhook_test", "schedule_pause"):
        key = UUID(int=1) if name.startswith("run") else 1
        assert admin_client.get(reverse(f"admin:scenarios_{name}", args=[key])).status_code == FORBIDDEN, name


def test_a_button_of_a_row_that_does_not_exist_is_not_found(admin_client: Client) -> None:
    assert admin_client.post(reverse("admin:scenarios_fault_retry", args=[1])).status_code == 404


def test_a_button_shows_why_it_did_nothing_on_the_page_of_its_row(admin_client: Client) -> None:
    exchange(is_protected=True)
    approval = read_approval(asked_run(someone("ann", "run_scenario")))
    Approval.objects.update(state="expired")
    answer = admin_client.post(reverse("admin:scenarios_approval_approve", args=[approval.pk]), follow=True)
    assert answer.redirect_chain == [(reverse("admin:scenarios_approval_change", args=[approval.pk]), 302)]
    (message,) = answer.context["messages"]
    assert (message.level_tag, "already decided or has expired" in message.message) == ("error", True)
