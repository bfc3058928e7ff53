"""Who guesses passwords is kept out, and nobody else."""

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client
from pytest_django.fixtures import Settings

from scenarios.client_address import client_address

pytestmark = pytest.mark.django_db
RIGHT = "right-horse-battery"


@pytest.fixture(autouse=True)
def _quick(settings: Settings) -> None:
    settings.AXES_FAILURE_LIMIT = 2
    for name in ("ada", "bob"):
        User.objects.create_user(name, password=RIGHT, is_staff=True)


def log_in(client: Client, name: str, password: str, address: str = "192.0.2.1", **headers: str) -> int:
    answer = client.post(
        "/admin/login/", {"username": name, "password": password}, REMOTE_ADDR=address, headers=headers
    )
    return answer.status_code


def lock_out(client: Client, **headers: str) -> None:
    assert [log_in(client, "ada", "wrong", **headers) for _ in range(2)] == [200, 429]


def test_after_some_failures_the_right_password_is_refused_too(client: Client) -> None:
    lock_out(client)
    assert log_in(client, "ada", RIGHT) == 429
    answer = client.post("/admin/login/", {"username": "ada", "password": RIGHT}, REMOTE_ADDR="192.0.2.1")
    assert "15 minutes" in answer.content.decode()
    assert "unsafe" not in answer["Content-Security-Policy"]


def test_others_from_the_same_address_and_the_same_person_from_another_get_in(client: Client) -> None:
    lock_out(client)
    assert log_in(Client(), "bob", RIGHT) == 302
    assert log_in(Client(), "ada", RIGHT, "192.0.2.2") == 302


def test_a_login_that_succeeds_forgets_the_failures(client: Client) -> None:
    assert [log_in(client, "ada", word) for word in ("wrong", RIGHT, "wrong")] == [200, 302, 200]


def test_the_lock_opens_by_itself(client: Client) -> None:
    lock_out(client)
    for attempt in AccessAttempt.objects.all():
        AccessAttempt.objects.update(attempt_time=attempt.attempt_time - timedelta(minutes=16))
    assert log_in(client, "ada", RIGHT) == 302
    assert not AccessAttempt.objects.exists()


def test_the_command_opens_the_lock(client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    lock_out(client)
    call_command("axes_reset_username", "ada")
    assert log_in(client, "ada", RIGHT) == 302


def test_the_password_that_was_tried_is_not_kept(client: Client) -> None:
    log_in(client, "ada", "nearly-right")
    assert "nearly-right" not in str(AccessAttempt.objects.values().get())


@pytest.mark.parametrize(
    ("proxies", "forwarded", "found"),
    [
        (0, "203.0.113.5", "192.0.2.1"),
        (1, "1.1.1.1, 203.0.113.5", "203.0.113.5"),
        (2, "1.1.1.1, 203.0.113.5, 10.0.0.1", "203.0.113.5"),
        (2, "203.0.113.5", "192.0.2.1"),
        (1, "", "192.0.2.1"),
        (1, "unknown", "192.0.2.1"),
        (1, "2001:db8::7", "2001:db8::7"),
    ],
)
def test_the_client_is_who_ones_own_proxies_saw(
    settings: Settings, proxies: int, forwarded: str, found: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": "192.0.2.1", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(request) == found
