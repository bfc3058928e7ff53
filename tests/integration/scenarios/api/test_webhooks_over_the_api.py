"""Webhooks over the API: added, changed, tested, deleted; a secret is answered once."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from pytest_django.fixtures import Settings

from scenarios.models import Delivery, Webhook
from scenarios.models.access import KeptAnswer
from scenarios.notifications import webhooks
from tests.integration.scenarios.api.conftest import Program, person, program, read_problem

pytestmark = pytest.mark.django_db
WISH = {"name": "chat", "url": "https://hooks.example.com/runs", "events": ["run.finished"], "tags": ["eu"]}


@pytest.fixture(autouse=True)
def hooks_are_allowed(settings: Settings) -> None:
    settings.WEBHOOK_ALLOWED_HOSTS = ["hooks.example.com"]


def made(ci: Program, **other: Any) -> Any:
    answer = ci.post("webhooks", {**WISH, **other})
    assert answer.status_code == 201, answer.content
    return answer.json()


def test_webhook_secret_is_shown_once_and_not_stored(ci: Program) -> None:
    answer = ci.post("webhooks", WISH, **{"Idempotency-Key": "once"})
    secret = answer.json()["secret"]
    assert secret.startswith("whsec_")
    assert answer["Cache-Control"] == "no-store"
    assert not KeptAnswer.objects.exists()
    assert secret not in str(Webhook.objects.values().get())
    told = ci.get(answer["Location"].removeprefix("/api/v1/")).json()
    assert "secret" not in told
    assert (told["name"], told["events"], told["tags"], told["enabled"]) == (
        "chat",
        *list(WISH.values())[2:],
        True,
    )
    assert [row["name"] for row in ci.get("webhooks").json()["items"]] == ["chat"]


@pytest.mark.parametrize(
    ("other", "path"),
    [
        ({"url": "https://elsewhere.example.com/"}, "body.url"),
        ({"url": "http://169.254.169.254/latest"}, "body.url"),
        ({"url": "file:///etc/passwd"}, "body.url"),
        ({"url": "https://hooks.example.com/\r\nX: y"}, "body.url"),
        ({"url": "https://[half"}, "body.url"),
        ({"url": "https://hooks.example.com:99999/"}, "body.url"),
        ({"events": ["webhook.test"]}, "body.events.0"),
        ({"events": []}, "body.events"),
        ({"name": ""}, "body.name"),
        ({"salt": "00"}, "body.salt"),
    ],
)
def test_invalid_fields_name_their_place(ci: Program, other: Any, path: str) -> None:
    found = read_problem(ci.post("webhooks", {**WISH, **other}), 422)
    assert found["errors"][0]["path"] == path
    assert not Webhook.objects.exists()


def test_webhook_names_are_unique(ci: Program) -> None:
    made(ci)
    other = f"webhooks/{made(ci, name='other')['id']}"
    change = {"Content-Type": "application/merge-patch+json"}
    for answer in (
        ci.post("webhooks", WISH),
        ci.ask("PUT", other, WISH),
        ci.ask("PATCH", other, {"name": WISH["name"]}, **change),
    ):
        found = read_problem(answer, 409)
        assert found["code"] == "name_taken"
        assert repr(WISH["name"]) in found["detail"]


def test_put_replaces_a_webhook_but_keeps_its_secret(ci: Program) -> None:
    place = f"webhooks/{made(ci)['id']}"
    before = Webhook.objects.get().salt
    told = ci.ask("PUT", place, {"name": "pager", "url": WISH["url"], "enabled": False}).json()
    assert (told["name"], len(told["events"]), told["tags"], told["enabled"]) == ("pager", 5, [], False)
    assert Webhook.objects.get().salt == before
    read_problem(ci.post(f"{place}/test"), 409)


def test_previous_secret_signs_for_a_day(ci: Program) -> None:
    first = made(ci)
    second = ci.post(f"webhooks/{first['id']}/secret").json()
    assert second["secret"] != first["secret"]
    webhook = Webhook.objects.get()
    assert len(webhooks.list_signing_keys(webhook, webhook.secret_changed_at)) == 2


def test_result_of_a_test_message_is_shown(ci: Program) -> None:
    place = f"webhooks/{made(ci)['id']}"
    answer = ci.post(f"{place}/test")
    assert (answer.status_code, answer.json()["message_id"]) == (202, Delivery.objects.get().message_id)
    Delivery.objects.update(state="failed", status=500, reason="it answered 500", tries=1)
    last = ci.get(place).json()["last_deliveries"][0]
    assert (last["message"], last["state"], last["status"]) == ("webhook.test", "failed", 500)


def test_webhook_is_deleted_with_its_deliveries(ci: Program) -> None:
    place = f"webhooks/{made(ci)['id']}"
    ci.post(f"{place}/test")
    assert ci.ask("DELETE", place).status_code == 204
    assert not Delivery.objects.exists()
    for method, path in (("GET", place), ("PUT", place), ("DELETE", place), ("POST", f"{place}/secret")):
        read_problem(ci.ask(method, path, WISH if method == "PUT" else None), 404)


def test_webhooks_need_their_own_scope(ci: Program, admin_user: User) -> None:
    place = f"webhooks/{made(ci)['id']}"
    read_problem(program(admin_user, "read").get(place), 403)
    viewer = program(person("scenarios.view_webhook"))
    assert viewer.get(place).status_code == 200
    for method, path in (
        ("PUT", place),
        ("DELETE", place),
        ("POST", f"{place}/secret"),
        ("POST", "webhooks"),
    ):
        read_problem(viewer.ask(method, path, WISH if method != "DELETE" else None), 403)
    read_problem(viewer.post(f"{place}/test"), 403)


@pytest.mark.django_db(transaction=True)
def test_webhook_deleted_in_the_meantime_is_404(ci: Program) -> None:
    places = [f"webhooks/{made(ci, name=str(number))['id']}" for number in range(4)]
    wishes = [
        *(("DELETE", "", None), ("POST", "/secret", None)),
        *(("POST", "/test", None), ("PUT", "", WISH | {"name": "pager"})),
    ]

    def answered(place: str, wish: tuple[str, str, Any]) -> int:
        method, below, body = wish
        try:
            status: int = Program(ci.secret, Client()).ask(method, f"{place}{below}", body).status_code
        finally:
            connection.close()
        return status

    with ThreadPoolExecutor(4) as threads:
        for place in places:
            statuses = list(threads.map(partial(answered, place), wishes))
            assert set(statuses) <= {200, 202, 204, 404}, statuses
    assert not Delivery.objects.exists()
