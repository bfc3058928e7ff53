"""Services over the API: registered, changed, protected, deleted."""

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.library import services as registered_services
from scenarios.models import Service
from scenarios.runs import leases
from tests.integration.scenarios import planned_rows
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem

pytestmark = pytest.mark.django_db
PLACE = "services/exchange"
WISH = {"base_url": "http://127.0.0.1:9101"}
WRITE = ("scenarios.add_service", "scenarios.change_service", "scenarios.delete_service")


def test_registered_service_has_default_chart_queries(ci: Program) -> None:
    told = ci.ask("PUT", PLACE, {**WISH, "description": "takes orders"}).json()
    assert told == ci.get(PLACE).json() == ci.get("services").json()["items"][0]
    assert (told["base_url"], told["description"]) == (WISH["base_url"], "takes orders")
    assert (told["protected"], told["held_by"], told["touched_by"]) == (False, None, [])
    assert Service.objects.get().queries.count() == 3


def test_missing_fields_keep_their_values(ci: Program) -> None:
    ci.ask("PUT", PLACE, {**WISH, "description": "takes orders", "protected": True})
    told = ci.ask("PUT", PLACE, {"base_url": "http://exchange.test"}).json()
    assert (told["base_url"], told["description"], told["protected"]) == (
        "http://exchange.test",
        "takes orders",
        True,
    )
    assert ci.ask("PUT", PLACE, {**WISH, "description": ""}).json()["description"] == ""


@pytest.mark.parametrize("address", ["exchange", "ftp://exchange", "http://a b", "http://x\0", ""])
def test_invalid_address_names_its_place(ci: Program, address: str) -> None:
    found = read_problem(ci.ask("PUT", PLACE, {"base_url": address}), 422)
    assert found["errors"][0]["path"].endswith("base_url")
    assert not Service.objects.exists()


def test_invalid_names_are_refused(ci: Program) -> None:
    for name in ("Exchange", "a%00b"):
        found = read_problem(ci.ask("PUT", f"services/{name}", WISH), 422)
        assert found["errors"][0]["path"] == "path.name"
        read_problem(ci.get(f"services/{name}"), 404)


@pytest.mark.parametrize(
    ("method", "body"), [("PUT", {**WISH, "protected": False}), ("PUT", WISH), ("DELETE", None)]
)
def test_changing_a_protected_service_needs_the_permission(method: str, body: Any) -> None:
    planned_rows.exchange(is_protected=True)
    found = read_problem(program(person(*WRITE)).ask(method, PLACE, body), 403)
    assert "scenarios.protect_service" in found["detail"]
    assert Service.objects.get().is_protected
    protector = program(person(*WRITE, "scenarios.protect_service", name="bob"))
    assert protector.ask(method, PLACE, body).status_code in {200, 204}


def test_protecting_a_service_needs_the_permission() -> None:
    writer = program(person(*WRITE))
    read_problem(writer.ask("PUT", PLACE, {**WISH, "protected": True}), 403)
    assert not Service.objects.exists()
    assert writer.ask("PUT", PLACE, {**WISH, "protected": False}).status_code == 201


def test_registering_needs_the_scope(admin_user: User) -> None:
    editor = program(admin_user, "read", "edit", "run")
    read_problem(editor.ask("PUT", PLACE, WISH), 403)
    planned_rows.exchange()
    read_problem(editor.ask("DELETE", PLACE), 403)


def test_held_service_is_not_deleted(ci: Program) -> None:
    planned_rows.exchange()
    run = planned_rows.asked_run(None)
    claim = leases.claim_run(run.id, run.attempt, worker="a:1")
    assert claim is not None
    found = read_problem(ci.ask("DELETE", PLACE), 409)
    assert f"held by {run}" in found["detail"]
    assert ci.get(PLACE).json()["held_by"] == str(run.pk)


def test_repeated_deletion_of_a_service_counts_once(ci: Program) -> None:
    registered_services.register_service("exchange", planned_rows.ADDRESS)
    key = {"Idempotency-Key": "gone-2"}
    assert [ci.ask("DELETE", PLACE, **key).status_code for _ in range(2)] == [204, 204]
    read_problem(ci.ask("DELETE", PLACE), 404)


SAME_PLACE = [
    "http://localhost:9101",
    "http://127.0.0.2:9101/x",
    "http://[::1]:9101",
    "http://LOCALHOST:9101",
]


@pytest.mark.parametrize("address", SAME_PLACE)
@pytest.mark.parametrize("name", ["alias", "moved"])
def test_address_of_a_protected_service_needs_the_permission(name: str, address: str) -> None:
    planned_rows.exchange(is_protected=True)
    registered_services.register_service("moved", "http://127.0.0.1:9102")
    found = read_problem(program(person(*WRITE)).ask("PUT", f"services/{name}", {"base_url": address}), 403)
    assert f"{address!r} leads to 'exchange', which is protected" in found["detail"]
    assert set(Service.objects.values_list("name", "base_url")) == {
        ("exchange", WISH["base_url"]),
        ("moved", "http://127.0.0.1:9102"),
    }
    protector = program(person(*WRITE, "scenarios.protect_service", name="bob"))
    answer = protector.ask("PUT", f"services/{name}", {"base_url": address})
    assert answer.status_code == (200 if name == "moved" else 201)


def test_unresolvable_address_is_refused_with_the_reason() -> None:
    writer, body = program(person(*WRITE)), {"base_url": "http://no-such-host.invalid"}
    assert writer.ask("PUT", "services/first", body).status_code == 201  # nothing is protected yet
    planned_rows.exchange(is_protected=True)
    found = read_problem(writer.ask("PUT", "services/second", body), 422)
    assert found["errors"][0]["path"] == "body.base_url"
    assert "'no-such-host.invalid' cannot be resolved" in found["errors"][0]["message"]
    assert writer.ask("PUT", "services/third", {"base_url": "http://127.0.0.1:9103"}).status_code == 201


def test_admin_refuses_that_address_at_its_field(client: Client) -> None:
    planned_rows.exchange(is_protected=True)
    client.force_login(planned_rows.someone("carl", "add_service", "change_service", "view_service"))
    queries = {f"queries-{word}_FORMS": "0" for word in ("TOTAL", "INITIAL")}
    sent = {"name": "alias", "base_url": "http://localhost:9101", **queries}
    answer = client.post(reverse("admin:scenarios_service_add"), sent)
    assert "leads to 'exchange', which is protected" in answer.context["adminform"].form.errors["base_url"][0]
    other = registered_services.register_service("other", "http://127.0.0.1:9102")
    page = reverse("admin:scenarios_service_change", args=[other.pk])
    assert client.post(page, {**sent, "name": "other"}).status_code == 200
    assert (
        client.post(page, {**sent, "name": "other", "base_url": "http://127.0.0.1:9104"}).status_code == 302
    )
    assert list(Service.objects.filter(name="other").values_list("base_url", flat=True)) == [
        "http://127.0.0.1:9104"
    ]


PROXY = {"proxy": "http://127.0.0.1:8474", "proxy_listener": "127.0.0.1:5433"}


def test_service_names_its_proxy_and_clients_that_know_none_keep_it(ci: Program) -> None:
    told = ci.ask("PUT", PLACE, {"base_url": "postgres://db:5432/shop", **PROXY}).json()
    assert {name: told[name] for name in PROXY} == PROXY
    assert told["proxy_secret"] == "FAULT_PROXY_TOKEN"
    told = ci.ask("PUT", PLACE, {**WISH, "description": "takes orders"}).json()
    assert {name: told[name] for name in PROXY} == PROXY
    told = ci.ask("PUT", PLACE, {**WISH, "proxy": ""}).json()
    assert (told["proxy"], told["proxy_listener"]) == ("", "")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("base_url", "redis://ann:hunter2@exchange"),
        ("base_url", "http://ann:hunter2@exchange"),
        ("proxy", "127.0.0.1:8474"),
        ("proxy", "http://ann:hunter2@127.0.0.1:8474"),
        ("proxy_listener", "127.0.0.1"),
        ("proxy_secret", "DATABASE_PASSWORD"),
        ("proxy_secret", ""),
    ],
)
def test_fields_that_make_no_sense_name_their_place(ci: Program, field: str, value: str) -> None:
    answer = ci.ask("PUT", PLACE, {**WISH, **PROXY, field: value})
    if not value:
        assert answer.json()["proxy_secret"] == "FAULT_PROXY_TOKEN"
        return
    found = read_problem(answer, 422)
    assert found["errors"][0]["path"] == f"body.{field}"
    assert "hunter2" not in answer.content.decode()
    assert not Service.objects.exists()


def test_only_new_service_is_not_changed(ci: Program) -> None:
    assert ci.ask("PUT", PLACE, {**WISH, "only_new": True}).status_code == 201
    read_problem(ci.ask("PUT", PLACE, {"base_url": "http://elsewhere", "only_new": True}), 409)
    assert Service.objects.get().base_url == WISH["base_url"]


def test_proxy_of_a_protected_service_needs_the_permission() -> None:
    planned_rows.exchange(is_protected=True)
    read_problem(program(person(*WRITE)).ask("PUT", PLACE, {**WISH, **PROXY}), 403)
    assert Service.objects.get().proxy == ""
