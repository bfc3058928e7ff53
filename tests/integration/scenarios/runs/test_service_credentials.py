"""`auth` and `tls` that a service, or the setting of Prometheus, gives to steps without their own."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from scenarios.charts.check import find_refusal
from scenarios.domain.outcomes import Outcome
from scenarios.library import services as registered_services
from scenarios.library.service_health import check_health
from scenarios.models import Event, Fault, Run, Service
from scenarios.runs import executor, recovery
from tests.integration.scenarios.reaching import action, carried_out, document, probe, queued
from tests.servers.recording import Recorder, recording

pytestmark = pytest.mark.django_db(transaction=True)

TOKEN = "correct-horse-battery"
AUTH = {"bearer": "${secret:SERVICE_FIRST}"}
SENT = f"Bearer {TOKEN}"


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCENARIO_SECRET_SERVICE_FIRST", TOKEN)
    monkeypatch.setenv("SCENARIO_SECRET_OWN", "of-the-step-alone")


@pytest.fixture
def first() -> Iterator[Recorder]:
    with recording() as server:
        registered_services.register_service("first", server.url, auth=AUTH)
        yield server


@pytest.fixture
def other() -> Iterator[Recorder]:
    with recording() as server:
        registered_services.register_service("other", server.url)
        yield server


def run(*steps: dict[str, Any]) -> Run:
    looks = [{**probe(step), "name": f"look {number}"} for number, step in enumerate(steps)]
    return carried_out(queued(document(validations=looks)))


def sent(server: Recorder) -> list[str]:
    return [request.headers.get("Authorization", "") for request in server.requests]


def test_a_step_has_the_credentials_of_its_service_and_no_other(first: Recorder, other: Recorder) -> None:
    ended = run({"http": {"service": "first"}}, {"http": {"service": "other"}}, {"http": {"url": first.url}})
    assert ended.outcome == Outcome.PASSED, ended.reason
    assert sorted(sent(first)) == ["", SENT]
    assert sent(other) == [""]


@pytest.mark.parametrize(
    ("words", "header"),
    [
        ({"auth": {"bearer": "${secret:OWN}"}}, "Bearer of-the-step-alone"),
        ({"headers": {"authorization": "Digest 1"}}, "Digest 1"),
    ],
)
def test_words_of_the_step_win(first: Recorder, words: dict[str, Any], header: str) -> None:
    run({"http": {"service": "first", **words}})
    assert [
        request.headers.get("Authorization") or request.headers.get("authorization")
        for request in first.requests
    ] == [header]


def test_they_are_not_sent_where_a_redirect_leads(first: Recorder, other: Recorder) -> None:
    first.status, first.redirect_to = 307, f"{other.url}/goal"
    run({"http": {"service": "first", "follow_redirects": True}})
    assert (sent(first), sent(other)) == ([SENT], [""])


def test_they_are_stored_nowhere(first: Recorder) -> None:
    first.echoes = True
    step = {"http": {"service": "first", "method": "POST"}}
    ended = carried_out(
        queued(document(actions=[action(step, {"http": {"service": "first", "method": "DELETE"}})]))
    )
    assert ended.outcome == Outcome.PASSED, ended.reason
    assert sent(first) == [SENT, SENT]
    stored = str([list(model.objects.values()) for model in (Run, Event, Fault)])
    assert TOKEN not in stored


def test_a_missing_secret_ends_the_run_before_anything_is_sent(
    first: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCENARIO_SECRET_SERVICE_FIRST")
    step = {"http": {"service": "first", "method": "POST"}}
    ended = carried_out(queued(document(actions=[action(step)])))
    assert (ended.outcome, "the secret 'SERVICE_FIRST' is missing" in ended.reason) == (Outcome.ERRORED, True)
    assert first.requests == []


def test_a_fault_of_a_service_that_has_moved_is_undone_with_what_it_had_there(
    first: Recorder, other: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new credentials belong to the new address, and are not sent to the old one."""
    monkeypatch.setenv("SCENARIO_SECRET_SERVICE_NEW", "of-the-new-address")
    step = {"http": {"service": "first", "method": "POST"}}
    undo = {"http": {"service": "first", "method": "DELETE"}}
    waiting = queued(document(actions=[action(step, undo)]))

    def move(_request: Any) -> None:
        from django.db import connection  # noqa: PLC0415

        auth = {"bearer": "${secret:SERVICE_NEW}"}
        Service.objects.filter(name="first").update(base_url=other.url, auth=auth)
        connection.close()

    first.before_answer = lambda request: move(request) if request.method == "POST" else None
    executor.carry_out(str(waiting.id), waiting.attempt)
    assert sent(first) == [SENT, SENT]
    assert set(sent(other)) <= {""}
    assert recovery.undo_now(Run.objects.get(pk=waiting.pk)) is not None
    assert "Bearer of-the-new-address" not in sent(first)


def test_a_health_check_uses_them(first: Recorder) -> None:
    assert check_health(Service.objects.get(name="first")).is_well
    assert sent(first) == [SENT]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"auth": {"bearer": "plain"}}, "'auth.bearer' must be a reference to a secret"),
        ({"auth": {"bearer": "${secret:OWN}"}}, "the name of the secret 'OWN' must begin with 'SERVICE'"),
        ({"auth": {"basic": {"user": "a"}}}, "auth.basic.password: required"),
        ({"auth": ["x"]}, "auth: "),
        ({"tls": {"ca": "../x"}}, "is not the name of a file in CERTIFICATE_DIR"),
        ({"tls": {"verfy": False}}, "tls.verfy: unknown field; choose one of 'verify', 'ca', 'certificate'"),
    ],
)
def test_invalid_credentials_are_refused(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence.replace(".", r"\.")):
        registered_services.register_service("first", "http://127.0.0.1:1", **fields)
    assert not Service.objects.exists()


def test_the_form_of_a_service_has_them(client: Client, admin_user: User) -> None:
    client.force_login(admin_user)
    place = reverse("admin:scenarios_service_add")
    form = {
        "name": "first",
        "base_url": "http://127.0.0.1:1",
        "health_path": "/health",
        "proxy_secret": "FAULT_PROXY_TOKEN",
        "tls": '{"ca": "first.pem"}',
        "queries-TOTAL_FORMS": "0",
        "queries-INITIAL_FORMS": "0",
    }
    refused = client.post(place, {**form, "auth": '{"bearer": "plain"}'})
    assert "must be a reference to a secret" in refused.content.decode()
    assert client.post(place, {**form, "auth": '{"bearer": "${secret:SERVICE_FIRST}"}'}).status_code == 302
    stored = Service.objects.get(name="first")
    assert (stored.tls, stored.auth) == ({"ca": "first.pem"}, AUTH)


def test_prometheus_of_the_settings_gets_those_of_the_settings(other: Recorder, settings: Settings) -> None:
    settings.PROMETHEUS_URL = other.url
    settings.PROMETHEUS_AUTH = AUTH
    for server in ({}, {"server": f"{other.url}/another"}):
        look = {"probe": {"prometheus": {"query": "up", **server}}, "expect": {"values": {"exists": True}}}
        carried_out(queued(document(validations=[{"name": "look", **look}])))
    assert sent(other) == [SENT, ""]
    other.requests.clear()
    find_refusal("up")
    assert sent(other) == [SENT]
