"""Hosts over the API: registered, changed, protected, deleted."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from scenarios.models import Hold, Host
from scenarios.runs import commands as run_commands
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db
PLACE = "hosts/shop-1"
SHOP = {"address": "chaos@10.0.0.7:2222", "labels": {"role": "shop", "tier": "a=b"}}
WRITE = ("scenarios.view_host", "scenarios.add_host", "scenarios.change_host", "scenarios.delete_host")


def test_registered_host_is_listed(ci: Program) -> None:
    told = ci.ask("PUT", PLACE, SHOP).json()
    assert told == ci.get(PLACE).json() == ci.get("hosts").json()["items"][0]
    assert told == {"name": "shop-1", **SHOP, "description": "", "protected": False, "held_by": None}
    assert ci.get("hosts?name=till").json()["items"] == []


def test_missing_fields_keep_their_values(ci: Program) -> None:
    ci.ask("PUT", PLACE, {**SHOP, "description": "sells", "protected": True})
    told = ci.ask("PUT", PLACE, {}).json()
    assert (told["address"], told["description"], told["protected"]) == (SHOP["address"], "sells", True)
    told = ci.ask("PUT", PLACE, {"labels": {}, "address": ""}).json()
    assert (told["address"], told["labels"]) == ("", {})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("address", "10.0.0.7"),
        ("address", "ann:hunter2@10.0.0.7"),
        ("address", "ann@::1"),
        ("labels", {"a=b": "x"}),
        ("labels", {"": "x"}),
        ("labels", {"role": 1}),
        ("labels", {"role": "\ud800"}),
        ("labels", ["role"]),
        ("labels", {str(number): "" for number in range(51)}),
        ("nonsense", 1),
    ],
)
def test_fields_that_make_no_sense_name_their_place(ci: Program, field: str, value: Any) -> None:
    answer = ci.ask("PUT", PLACE, {field: value})
    assert read_problem(answer, 422)["errors"][0]["path"].startswith(f"body.{field}")
    assert "hunter2" not in answer.content.decode()
    assert not Host.objects.exists()


def test_invalid_and_unknown_names_are_refused(ci: Program) -> None:
    for name in ("Shop", "a%00b", "a" * 64):
        assert read_problem(ci.ask("PUT", f"hosts/{name}", {}), 422)["errors"][0]["path"] == "path.name"
        read_problem(ci.get(f"hosts/{name}"), 404)
        read_problem(ci.post(f"hosts/{name}/test"), 404)
        read_problem(ci.ask("DELETE", f"hosts/{name}"), 404)


@pytest.mark.parametrize(("method", "body"), [("PUT", {"protected": False}), ("PUT", {}), ("DELETE", None)])
def test_changing_a_protected_host_needs_the_permission(method: str, body: Any) -> None:
    Host.objects.create(name="shop-1", is_protected=True)
    found = read_problem(program(person(*WRITE)).ask(method, PLACE, body), 403)
    assert "scenarios.protect_host" in found["detail"]
    assert Host.objects.get().is_protected
    protector = program(person(*WRITE, "scenarios.protect_host", name="bob"))
    assert protector.ask(method, PLACE, body).status_code in {200, 204}


def test_protecting_a_host_needs_the_permission() -> None:
    read_problem(program(person(*WRITE)).ask("PUT", PLACE, {"protected": True}), 403)
    assert not Host.objects.exists()


@pytest.mark.parametrize("address", ["root@10.0.0.7", "chaos@10.0.0.7:2222", "chaos@10.7:22"])
@pytest.mark.parametrize("name", ["alias", "moved"])
def test_address_of_a_protected_host_needs_the_permission(name: str, address: str) -> None:
    Host.objects.create(name="shop-1", address="chaos@10.0.0.7", is_protected=True)
    Host.objects.create(name="moved", address="chaos@10.0.0.8")
    writer = program(person(*WRITE))
    found = read_problem(writer.ask("PUT", f"hosts/{name}", {"address": address}), 403)
    assert f"{address!r} is also the host 'shop-1', which is protected" in found["detail"]
    assert writer.ask("PUT", "hosts/other", {"address": "chaos@10.0.0.9"}).status_code == 201
    protector = program(person(*WRITE, "scenarios.protect_host", name="bob"))
    answer = protector.ask("PUT", f"hosts/{name}", {"address": address})
    assert answer.status_code == (200 if name == "moved" else 201)


def test_workers_own_machine_is_protected_under_every_spelling() -> None:
    Host.objects.create(name="here", is_protected=True)
    writer = program(person(*WRITE))
    for body in ({}, {"address": ""}, {"address": "chaos@localhost"}, {"address": "chaos@[::1]:22"}):
        assert "'here', which is protected" in read_problem(writer.ask("PUT", PLACE, body), 403)["detail"]
    assert writer.ask("PUT", PLACE, {"address": "chaos@10.0.0.7"}).status_code == 201
    assert writer.ask("PUT", PLACE, {"description": "moves nowhere"}).status_code == 200


def test_scopes_are_those_of_services(admin_user: User) -> None:
    editor = program(admin_user, "edit", "run")
    read_problem(editor.get("hosts"), 403)
    read_problem(editor.ask("PUT", PLACE, SHOP), 403)
    assert program(admin_user, "services").ask("PUT", PLACE, SHOP).status_code == 201
    assert program(admin_user, "read").get(PLACE).status_code == 200
    read_problem(program(admin_user, "read").ask("DELETE", PLACE), 403)


def test_held_host_is_not_deleted(ci: Program) -> None:
    ci.ask("PUT", PLACE, SHOP)
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    Hold.objects.create(service="host/shop-1", run=run)
    assert ci.get(PLACE).json()["held_by"] == str(run.pk)
    assert f"held by {run}" in read_problem(ci.ask("DELETE", PLACE), 409)["detail"]
    Hold.objects.all().delete()
    assert ci.ask("DELETE", PLACE).status_code == 204


def test_only_new_host_is_not_changed(ci: Program) -> None:
    assert ci.ask("PUT", PLACE, {**SHOP, "only_new": True}).status_code == 201
    read_problem(ci.ask("PUT", PLACE, {"address": "", "only_new": True}), 409)
    assert Host.objects.get().address == SHOP["address"]
