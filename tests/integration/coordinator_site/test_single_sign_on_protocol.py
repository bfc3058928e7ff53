"""What is not accepted from a provider, and where a login leads."""

import time
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from tests.integration.coordinator_site.single_sign_on_logins import HOME, LOGIN, log_in, read_login_page
from tests.servers.oidc_provider import CLIENT_ID, Provider, a_key

pytestmark = pytest.mark.django_db


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "a nonce of another login": ({"nonce": "another"}, "belongs to another login: log in again"),
    "a token for another client": ({"aud": "another"}, "is for another client than OIDC_CLIENT_ID"),
    "a token for another that names us as its party": (
        {"aud": "another", "azp": CLIENT_ID},
        "is for another client than OIDC_CLIENT_ID",
    ),
    "a token of another issuer": (
        {"iss": "https://elsewhere.example.com"},
        "is of another issuer than OIDC_ISSUER",
    ),
    "a token that has expired": (
        {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
        "has expired: compare the clocks",
    ),
    "a token that is not valid yet": (
        {"nbf": int(time.time()) + 36_000},
        "is not valid yet: compare the clocks",
    ),
    "a token of the future": ({"iat": int(time.time()) + 36_000}, "is not valid yet: compare the clocks"),
}


@pytest.mark.parametrize(("lies", "cause"), LIES.values(), ids=LIES)
def test_token_for_another_login_is_refused(
    client: Client, provider: Provider, lies: dict[str, Any], cause: str
) -> None:
    provider.lies = lies
    assert log_in(client)["Location"] == LOGIN
    assert f"the provider&#x27;s identity token {cause}" in read_login_page(client)
    assert not User.objects.exists()


def test_token_signed_with_another_key_is_refused(client: Client, provider: Provider) -> None:
    provider.key = a_key("stolen", kid="one")
    assert log_in(client)["Location"] == LOGIN
    assert not User.objects.exists()


def test_new_signing_key_of_the_provider_is_fetched(client: Client, provider: Provider) -> None:
    log_in(client)
    provider.key = provider.published = a_key("two")
    assert log_in(Client())["Location"] == HOME


def test_unrequested_callback_is_refused(client: Client, provider: Provider) -> None:
    log_in(client)
    stranger = Client()
    assert stranger.get("/oidc/callback/?code=the-code&state=made-up")["Location"] == LOGIN
    assert stranger.get("/oidc/callback/?error=access_denied")["Location"] == LOGIN
    assert stranger.get(HOME).status_code == 302


def test_groups_come_from_userinfo_of_the_same_person_if_the_token_has_none(
    client: Client, provider: Provider
) -> None:
    groups = provider.person.pop("groups")
    provider.by_userinfo = {"groups": groups, "sub": "somebody else"}
    assert log_in(client)["Location"] == LOGIN
    provider.by_userinfo = {"groups": groups}
    assert log_in(client)["Location"] == HOME


def test_login_page_works_while_the_provider_is_unreachable_or_another(
    client: Client, provider: Provider, settings: Settings
) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    assert client.get("/oidc/login/")["Location"] == LOGIN
    settings.OIDC_ISSUER = f"{provider.issuer}/"
    assert client.get("/oidc/login/")["Location"] == LOGIN
    assert "the provider&#x27;s issuer is" in read_login_page(client)


@pytest.mark.parametrize("page", ["https://elsewhere.example.com/", "//elsewhere.example.com", "", "/\\x"])
def test_login_never_redirects_to_another_site(client: Client, provider: Provider, page: str) -> None:
    assert log_in(client, next=page)["Location"] == HOME


def test_login_page_offers_single_sign_on_only_with_a_provider(
    client: Client, provider: Provider, settings: Settings
) -> None:
    settings.OIDC_NAME = "Example <SSO>"
    both = client.get(LOGIN, {"next": "/admin/x/?a=b&c"}).content.decode()
    assert "Log in with Example &lt;SSO&gt;" in both
    assert 'href="/oidc/login/?next=/admin/x/%3Fa%3Db%26c"' in both
    assert 'name="password"' in both
    settings.OIDC_ISSUER = ""
    assert "Log in with" not in read_login_page(client)
    assert [client.get(f"/oidc/{way}/").status_code for way in ("login", "callback")] == [404, 404]
