"""A login that fails says why; a logout may go on at the provider."""

import json
from urllib.parse import urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client
from pytest_django.fixtures import Settings

from coordinator_site import single_sign_on
from tests.integration.coordinator_site.single_sign_on_logins import LOGIN, log_in, read_login_page
from tests.servers.oidc_provider import CLIENT_ID, Provider

pytestmark = pytest.mark.django_db

DISCOVERY = "/.well-known/openid-configuration"
BROKEN: dict[str, tuple[str, int, str, str]] = {
    "the provider is down": (DISCOVERY, 503, "sorry", "the provider answered 503"),
    "another site": (DISCOVERY, 200, "<html>", "the provider&#x27;s response is not JSON"),
    "no keys": ("/jwks", 500, "", "the provider answered 500"),
    "a wrong secret": (
        *("/token", 401, json.dumps({"error": "invalid_client"})),
        "the provider does not accept OIDC_CLIENT_ID with OIDC_CLIENT_SECRET",
    ),
    "a code that was used": (
        *("/token", 400, json.dumps({"error": "invalid_grant"})),
        "the provider&#x27;s code was used before or is too old: log in again",
    ),
    "an unknown error": (
        *("/token", 400, json.dumps({"error": "made_up", "error_description": "call 555 now"})),
        "the provider&#x27;s response was invalid",
    ),
}


@pytest.fixture(autouse=True)
def forgetful(provider: Provider) -> None:
    """Discovery is read again: another test may have logged in."""
    single_sign_on._client.cache_clear()


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
def test_provider_that_fails_is_said_to_have_failed(
    client: Client, provider: Provider, broken: tuple[str, int, str, str]
) -> None:
    path, status, text, cause = broken
    provider.broken[path] = (status, text)
    there = client.get("/oidc/login/")
    if there["Location"] != LOGIN:
        back = requests.get(there["Location"], allow_redirects=False, timeout=600).headers["Location"]
        parts = urlsplit(back)
        assert client.get(f"{parts.path}?{parts.query}")["Location"] == LOGIN
    shown = read_login_page(client)
    assert f"failed: {cause}" in shown
    assert "555" not in shown
    assert not User.objects.exists()


def test_provider_that_cannot_be_reached_is_said_so(
    client: Client, provider: Provider, settings: Settings
) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    assert client.get("/oidc/login/")["Location"] == LOGIN
    assert "the provider cannot be reached: try again in a minute" in read_login_page(client)


@pytest.mark.parametrize(
    ("query", "cause"),
    [
        ("error=access_denied&error_description=call+555", "it was cancelled at the provider"),
        ("error=temporarily_unavailable", "the provider says that it is overloaded"),
        ("error=%00%ed%a0%80", "the provider&#x27;s response was invalid"),
        ("code=the-code&state=made-up", "it was begun in another browser or too long ago: log in again"),
    ],
)
def test_answer_without_a_login_says_why(client: Client, provider: Provider, query: str, cause: str) -> None:
    assert client.get(f"/oidc/callback/?{query}")["Location"] == LOGIN
    shown = read_login_page(client)
    assert f"failed: {cause}" in shown
    assert "555" not in shown


def test_logout_goes_on_at_the_provider_by_a_link(
    client: Client, provider: Provider, settings: Settings
) -> None:
    settings.OIDC_NAME = "Example <SSO>"
    log_in(client)
    out = client.post("/admin/logout/").content.decode()
    assert "Log out at Example &lt;SSO&gt;, too" in out
    assert client.get("/admin/").status_code == 302
    there = client.get("/oidc/logout/")["Location"]
    assert there.startswith(f"{provider.issuer}/logout?")
    back = requests.get(there, allow_redirects=False, timeout=600).headers["Location"]
    assert back == f"http://testserver{LOGIN}"
    assert provider.ended["client_id"] == CLIENT_ID
    assert provider.ended["id_token_hint"].count(".") == 2
    assert client.get("/oidc/logout/")["Location"] == LOGIN  # the token is used once


def test_logout_of_a_password_login_offers_nothing_at_the_provider(
    client: Client, provider: Provider
) -> None:
    client.force_login(User.objects.create_user("ann", is_staff=True))
    assert "oidc" not in client.post("/admin/logout/").content.decode()
    assert client.get("/oidc/logout/")["Location"] == LOGIN


def test_provider_without_a_logout_is_said_so(client: Client, provider: Provider) -> None:
    found = provider.discovery()
    del found["end_session_endpoint"]
    provider.broken[DISCOVERY] = (200, json.dumps(found))
    log_in(client)
    client.post("/admin/logout/")
    assert client.get("/oidc/logout/")["Location"] == LOGIN
    assert "offers no logout: close the browser" in read_login_page(client)
