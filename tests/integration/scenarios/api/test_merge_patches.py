"""PATCH changes the fields that it names, by JSON merge patch, and nothing else."""

from typing import Any

import pytest

from scenarios.models import Host, Schedule, Service, Webhook
from tests.integration.scenarios import planned_rows
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem

pytestmark = pytest.mark.django_db
NIGHTLY = {
    "scenario": "break-exchange",
    "cron": "30 2 * * MON-FRI",
    "time_zone": "Europe/Berlin",
    "window_from": "02:00",
    "window_to": "04:00",
}
MERGE_PATCH = "application/merge-patch+json"
SHOP = {"base_url": "http://127.0.0.1:9101", "description": "sells", "health_status": 204}
MACHINE = {"address": "chaos@127.0.0.1:22", "labels": {"role": "shop", "site": "north"}}
CHAT = {"name": "chat", "url": "http://127.0.0.1:9/runs", "events": ["run.finished"], "tags": ["shop"]}


@pytest.fixture(autouse=True)
def break_exchange(db: None) -> None:
    planned_rows.stored()


def patch(caller: Program, path: str, body: Any, **headers: str) -> Any:
    return caller.ask("PATCH", path, body, **{"Content-Type": MERGE_PATCH, **headers})


def test_a_service_keeps_what_the_patch_does_not_name(ci: Program) -> None:
    ci.ask("PUT", "services/shop", SHOP)
    answer = patch(ci, "services/shop", {"description": "sells and buys"})
    assert answer.status_code == 200
    assert answer.json()["description"] == "sells and buys"
    assert (answer.json()["base_url"], answer.json()["health_status"]) == (SHOP["base_url"], 204)
    assert answer["ETag"] == ci.get("services/shop")["ETag"]


def test_null_resets_fields_of_a_service_to_their_defaults(ci: Program) -> None:
    ci.ask("PUT", "services/shop", {**SHOP, "health_path": "/ready"})
    answer = patch(ci, "services/shop", {"health_status": None, "health_path": None, "description": None})
    stored = Service.objects.get()
    assert answer.status_code == 200, answer.content
    assert (stored.health_status, stored.health_path, stored.description) == (None, "/health", "")
    problem = read_problem(patch(ci, "services/shop", {"base_url": None}), 422)
    assert problem["errors"] == [{"path": "body.base_url", "message": "required", "hint": ""}]


def test_labels_of_a_host_are_merged(ci: Program) -> None:
    ci.ask("PUT", "hosts/shop-1", MACHINE)
    assert patch(ci, "hosts/shop-1", {"labels": {"site": None, "rack": "7"}}).status_code == 200
    assert Host.objects.get().labels == {"role": "shop", "rack": "7"}
    assert Host.objects.get().address == MACHINE["address"]


def test_a_schedule_keeps_what_the_patch_does_not_name(ci: Program) -> None:
    assert ci.ask("PUT", "schedules/nightly", NIGHTLY).status_code == 201
    answer = patch(ci, "schedules/nightly", {"cron": "0 3 * * *", "paused": True})
    assert answer.status_code == 200, answer.content
    schedule = Schedule.objects.get()
    assert (schedule.cron, schedule.is_paused) == ("0 3 * * *", True)
    assert schedule.time_zone == NIGHTLY["time_zone"]
    assert schedule.window_from is not None
    assert patch(ci, "schedules/nightly", {"window_from": None, "window_to": None}).status_code == 200
    assert Schedule.objects.get().window_from is None
    assert Schedule.objects.get().is_paused


def test_a_webhook_keeps_what_the_patch_does_not_name(ci: Program) -> None:
    webhook = ci.post("webhooks", CHAT).json()["id"]
    answer = patch(ci, f"webhooks/{webhook}", {"enabled": False})
    assert answer.status_code == 200, answer.content
    changed = Webhook.objects.get()
    assert (changed.is_enabled, changed.url, changed.tags) == (False, CHAT["url"], ["shop"])
    patch(ci, f"webhooks/{webhook}", {"tags": None})
    assert Webhook.objects.get().tags == []


@pytest.mark.parametrize(
    ("path", "body"),
    [("services/shop", SHOP), ("hosts/shop-1", MACHINE), ("schedules/nightly", NIGHTLY)],
)
def test_a_patch_respects_preconditions_and_creates_nothing(ci: Program, path: str, body: Any) -> None:
    read_problem(patch(ci, path, {}), 404)
    tag = ci.ask("PUT", path, body)["ETag"]
    read_problem(patch(ci, path, {}, **{"If-Match": '"another"'}), 412)
    assert patch(ci, path, {}, **{"If-Match": tag}).status_code == 200
    assert ci.get(path)["ETag"] == tag, "an empty patch changes nothing"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"colour": "red"}, "body.colour"),
        ({"base_url": 5}, "body.base_url"),
        ({"health_path": "no slash"}, "body.health_path"),
        ([], "body"),
        ("text", "body"),
    ],
)
def test_an_invalid_patch_changes_nothing(ci: Program, body: Any, place: str) -> None:
    ci.ask("PUT", "services/shop", SHOP)
    text = '"text"' if body == "text" else body
    problem = read_problem(patch(ci, "services/shop", text), 422)
    assert [error["path"] for error in problem["errors"]] == [place]
    assert Service.objects.get().base_url == SHOP["base_url"]


def test_another_kind_of_patch_is_refused_with_the_one_that_is_accepted(ci: Program) -> None:
    ci.ask("PUT", "services/shop", SHOP)
    operations = [{"op": "replace", "path": "/description", "value": "x"}]
    answer = patch(ci, "services/shop", operations, **{"Content-Type": "application/json-patch+json"})
    assert read_problem(answer, 415)["code"] == "patch_unsupported"
    assert answer["Accept-Patch"] == MERGE_PATCH


def test_a_protected_service_is_patched_with_the_permission_to_protect_only(ci: Program) -> None:
    ci.ask("PUT", "services/shop", {**SHOP, "protected": True})
    editor = program(person("scenarios.change_service", "scenarios.add_service"))
    read_problem(patch(editor, "services/shop", {"protected": False}), 403)
    ci.ask("PUT", "services/open", {**SHOP, "base_url": "http://127.0.0.1:9102"})
    read_problem(patch(editor, "services/open", {"protected": True}), 403)
    read_problem(patch(editor, "services/open", {"base_url": SHOP["base_url"]}), 403)
    assert patch(editor, "services/open", {"description": "x"}).status_code == 200
