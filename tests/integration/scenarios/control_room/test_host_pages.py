"""Pages of hosts, and of the fault proxies that services name."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from scenarios.models import Hold, Host, Service
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.planned_rows import someone
from tests.integration.scenarios.story_rows import DOCUMENT
from tests.servers.fault_proxy import TOKEN, running_fault_proxy

pytestmark = pytest.mark.django_db

ADD = reverse("admin:scenarios_host_add")
LIST = reverse("admin:scenarios_host_changelist")
SHOP = {"name": "shop-1", "address": "chaos@10.0.0.7:2222", "labels_text": "role=shop\r\ntier = a=b\r\n\r\n"}
CHANGE = ("view_host", "add_host", "change_host", "delete_host")


def find_page(host: Host, name: str = "change") -> str:
    return reverse(f"admin:scenarios_host_{name}", args=[host.pk])


def list_errors(answer: Any) -> dict[str, list[str]]:
    found: dict[str, list[str]] = answer.context["adminform"].form.errors
    return found


def test_host_is_added_shown_and_changed(admin_client: Client) -> None:
    assert admin_client.post(ADD, SHOP).status_code == 302
    host = Host.objects.get()
    assert host.labels == {"role": "shop", "tier": "a=b"}
    content = admin_client.get(LIST).content.decode()
    assert "chaos@10.0.0.7:2222" in content
    assert "role=shop, tier=a=b" in content
    assert "role=shop\ntier=a=b" in admin_client.get(find_page(host)).content.decode()
    changed = {"name": "renamed", "address": "", "labels_text": "", "is_protected": "on"}
    assert admin_client.post(find_page(host), changed).status_code == 302
    host.refresh_from_db()
    assert (host.name, host.address, host.labels, host.is_protected) == ("shop-1", "", {}, True)
    assert "the worker&#x27;s own machine" in admin_client.get(LIST).content.decode()
    assert "Hosts</a>" in admin_client.get("/admin/").content.decode()
    assert admin_client.get(f"{LIST}?q=shop").status_code == 200


@pytest.mark.parametrize(
    ("fields", "field", "part"),
    [
        ({"labels_text": "role"}, "labels_text", "'role' is not a label; write it as name=value"),
        ({"labels_text": "=x"}, "labels_text", "is not a label"),
        ({"labels_text": "a=1\na=2"}, "labels_text", "'a' is given twice"),
        ({"labels_text": f"a={'x' * 201}"}, "labels_text", "longer than 200"),
        ({"address": "ann:hunter2@shop"}, "address", "leave the password out"),
        ({"name": "a" * 64}, "name", "at most 63"),
    ],
)
def test_errors_are_shown_at_their_fields(
    admin_client: Client, fields: dict[str, str], field: str, part: str
) -> None:
    answer = admin_client.post(ADD, {**SHOP, **fields})
    assert part in " ".join(list_errors(answer)[field])
    assert not Host.objects.exists()


def test_protected_host_is_changed_by_those_alone_who_may_protect(client: Client) -> None:
    host = Host.objects.create(name="shop-1", address="chaos@10.0.0.7", labels={"a": "b"}, is_protected=True)
    client.force_login(someone("carl", *CHANGE))
    assert "a=b" in client.get(find_page(host)).content.decode()
    for name in ("change", "delete"):
        assert client.post(find_page(host, name), {**SHOP, "post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": str(host.pk), "post": "yes"}
    client.post(LIST, chosen)
    assert Host.objects.get().is_protected
    alias = client.post(ADD, {**SHOP, "name": "alias", "address": "root@10.0.0.7", "is_protected": "on"})
    assert "also the host 'shop-1', which is protected" in list_errors(alias)["address"][0]
    assert client.post(ADD, {**SHOP, "name": "other", "address": "root@10.0.0.8"}).status_code == 302
    assert not Host.objects.get(name="other").is_protected
    client.force_login(someone("dora", *CHANGE, "protect_host"))
    assert client.post(find_page(host), {"address": "chaos@10.0.0.7"}).status_code == 302
    assert not Host.objects.get(name="shop-1").is_protected


def test_held_host_says_by_what_and_is_not_deleted(admin_client: Client) -> None:
    host = Host.objects.create(name="shop-1")
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    Hold.objects.create(service="host/shop-1", run=run)
    assert str(run) in admin_client.get(find_page(host)).content.decode()
    assert str(run) in admin_client.get(LIST).content.decode()
    answer = admin_client.post(find_page(host, "delete"), {"post": "yes"}, follow=True)
    assert f"it is held by {run}" in answer.content.decode()
    assert Host.objects.exists()


def test_people_who_may_only_view_see_no_form(client: Client) -> None:
    host = Host.objects.create(name="shop-1", labels={"role": "shop"})
    client.force_login(someone("eve", "view_host"))
    content = client.get(find_page(host)).content.decode()
    assert "role=shop" in content
    assert "_save" not in content
    assert client.post(ADD, SHOP).status_code == 403
    assert client.get(find_page(host, "test")).status_code == 403


def test_host_is_tested_from_its_page(client: Client) -> None:
    host = Host.objects.create(name="shop-1", address="chaos@127.0.0.1:9")
    client.force_login(someone("fay", "view_service"))
    assert client.post(find_page(host, "test")).status_code == 403
    client.force_login(someone("eve", "view_host"))
    assert "refused the connection" in client.post(find_page(host, "test")).content.decode()


def test_page_of_a_service_shows_its_proxy(
    admin_client: Client, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", TOKEN)
    with running_fault_proxy("127.0.0.1:9") as proxy:
        queries = {f"queries-{word}_FORMS": "0" for word in ("TOTAL", "INITIAL")}
        sent = {"name": "shop-db", "base_url": "postgres://127.0.0.1:5432/shop", "proxy": proxy.control}
        added = admin_client.post(reverse("admin:scenarios_service_add"), {**sent, **queries})
        assert added.status_code == 302
        service = Service.objects.get()
        assert service.proxy_secret == "FAULT_PROXY_TOKEN"
        address = reverse("admin:scenarios_service_proxy", args=[service.pk])
        page = reverse("admin:scenarios_service_change", args=[service.pk])
        assert f'hx-get="{address}"' in admin_client.get(page).content.decode()
        content = admin_client.get(address).content.decode()
        assert f"the fault proxy at {proxy.control} answers, and accepts the token" in content
        assert f"{proxy.listener} leads to 127.0.0.1:9" in content
        assert "the proxy has no faults" in content
        assert TOKEN not in content
        monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", "wrong")
        assert "does not accept the token" in admin_client.get(address).content.decode()
    assert "refused the connection" in admin_client.get(address).content.decode()
    client.force_login(someone("fay"))
    assert client.get(address).status_code == 403
