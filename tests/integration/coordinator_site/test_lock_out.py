"""Who guesses passwords is kept out, and nobody else."""

import re
from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone
from django.utils.http import urlencode
from pytest_django.fixtures import Settings

from scenarios.access.client_address import client_address, client_network

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


def test_a_failed_login_keeps_the_name_in_its_field_and_never_the_password(client: Client) -> None:
    content = client.post("/admin/login/", {"username": "ada", "password": "wrong-horse"}).content.decode()
    assert re.search(r'<input type="text" name="username" value="ada"', content)
    assert "wrong-horse" not in content


def test_others_from_the_same_address_and_the_same_person_from_another_get_in(client: Client) -> None:
    lock_out(client)
    assert log_in(Client(), "bob", RIGHT) == 302
    assert log_in(Client(), "ada", RIGHT, "192.0.2.2") == 302


def test_one_address_does_not_try_many_names(client: Client) -> None:
    answers = [log_in(client, f"name-{number}", "wrong") for number in range(60)]
    assert answers == [200] * 29 + [429] * 31
    assert log_in(Client(), "bob", RIGHT) == 429
    assert log_in(Client(), "bob", RIGHT, "192.0.2.2") == 302


def test_many_addresses_do_not_try_one_name(client: Client) -> None:
    answers = [log_in(client, "ada", "wrong", f"192.0.2.{number}") for number in range(30)]
    assert answers == [200] * 14 + [429] * 16
    assert log_in(Client(), "ada", RIGHT, "192.0.2.99") == 429
    assert log_in(Client(), "bob", RIGHT, "192.0.2.99") == 302


def test_addresses_of_one_ipv6_network_count_as_one(client: Client) -> None:
    answers = [log_in(client, f"name-{number}", "wrong", f"2001:db8::{number}") for number in range(31)]
    assert answers[-2:] == [429, 429]
    assert log_in(client, "name", "wrong", "2001:db8:0:1::1") == 200


def test_other_user_agents_and_spellings_of_an_address_do_not_help(client: Client) -> None:
    for number in range(30):
        headers = {"User-Agent": f"browser {number}"}
        log_in(client, f"name-{number}", "wrong", "::ffff:192.0.2.1", **headers)
    assert log_in(Client(), "bob", RIGHT, "192.0.2.1") == 429


@pytest.mark.parametrize("spread", ["over names", "over addresses"])
def test_a_browser_that_has_logged_in_before_is_not_kept_out_by_others(client: Client, spread: str) -> None:
    log_in(client, "ada", RIGHT)
    client.post("/admin/logout/")
    for number in range(30):
        if spread == "over names":
            log_in(Client(), f"name-{number}", "wrong")
        else:
            log_in(Client(), "ada", "wrong", f"192.0.2.{100 + number}")
    assert log_in(Client(), "ada", RIGHT) == 429
    assert log_in(client, "ada", RIGHT) == 302
    client.post("/admin/logout/")
    assert log_in(client, "bob", RIGHT) == (429 if spread == "over names" else 302)


def test_a_known_browser_cannot_guess_without_end(client: Client) -> None:
    log_in(client, "ada", RIGHT)
    client.post("/admin/logout/")
    lock_out(client)


def test_forged_cookie_of_a_known_browser_is_rejected(client: Client) -> None:
    for number in range(30):
        log_in(Client(), "ada", "wrong", f"192.0.2.{number}")
    client.cookies["known_browser"] = "ada"
    assert log_in(client, "ada", RIGHT, "192.0.2.99") == 429


def test_an_address_that_many_share_is_open_again_after_minutes(client: Client) -> None:
    for number in range(30):
        log_in(client, f"name-{number}", "wrong")
    answer = client.post("/admin/login/", {"username": "bob", "password": RIGHT}, REMOTE_ADDR="192.0.2.1")
    assert (answer.status_code, answer["Retry-After"]) == (429, "300")
    assert "in the last 5 minutes" in answer.content.decode()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=6))
    assert log_in(Client(), "bob", RIGHT) == 302


def test_the_command_opens_an_address(client: Client) -> None:
    for number in range(30):
        log_in(client, f"name-{number}", "wrong")
    call_command("axes_reset_ip", "192.0.2.1")
    assert log_in(Client(), "bob", RIGHT) == 302


@pytest.mark.parametrize(
    "onwards",
    ["//evil.example", "https://evil.example/", "javascript:alert(1)", "/\\evil.example", "", "\x00"],
)
def test_an_address_to_go_on_to_that_is_refused_leads_home(client: Client, onwards: str) -> None:
    answer = client.post(
        f"/admin/login/?{urlencode({'next': onwards})}",
        {"username": "ada", "password": RIGHT, "next": onwards},
        follow=True,
    )
    assert answer.redirect_chain[-1][0] == "/admin/"
    assert answer.status_code == 200


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


@pytest.mark.parametrize("address", ["", "unix:", "@"])
def test_a_client_without_an_address_has_none(address: str) -> None:
    request = HttpRequest()
    request.META = {"REMOTE_ADDR": address}
    assert client_network(request) is None
