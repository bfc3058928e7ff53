"""How long a login by OpenID Connect and the API tokens of its user last."""

import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from coordinator_site.models import Identity
from scenarios.access import tokens
from scenarios.models.access import ApiToken
from tests.integration.coordinator_site.single_sign_on_logins import HOME, LOGIN, call_api, log_in
from tests.servers.oidc_provider import Provider

pytestmark = pytest.mark.django_db


def set_login_age(seconds: int) -> None:
    Identity.objects.update(entered_at=timezone.now() - timedelta(seconds=seconds))


def test_api_token_works_only_while_the_last_login_is_recent(
    client: Client, provider: Provider, settings: Settings
) -> None:
    log_in(client)
    secret = tokens.create_token(User.objects.get(), "the nightly build", ["read", "run"])[1]
    assert call_api(secret) == 200
    set_login_age(settings.OIDC_TOKEN_SECONDS - 60)
    assert call_api(secret) == 200
    set_login_age(settings.OIDC_TOKEN_SECONDS + 1)
    assert call_api(secret) == 401
    assert ApiToken.objects.get().state == "waiting for its owner's next login"
    log_in(Client())
    assert (call_api(secret), ApiToken.objects.get().state) == (200, "valid")


@pytest.mark.parametrize("groups", [[], ["qa"]])
def test_refused_login_ends_api_tokens_and_sessions(
    client: Client, provider: Provider, groups: list[str]
) -> None:
    log_in(client)
    user = User.objects.get()
    user.user_permissions.set(Permission.objects.filter(codename="view_run"))
    secret = tokens.create_token(user, "a test", ["read", "run"])[1]
    provider.person["groups"] = groups
    assert log_in(Client())["Location"] == LOGIN
    assert call_api(secret) == 401
    assert client.get(HOME).status_code == 302
    assert client.get("/api/v1/runs").status_code in {200, 403}


def test_session_ends_after_a_fixed_time_even_if_used(
    client: Client, provider: Provider, settings: Settings
) -> None:
    log_in(client)
    session = client.session
    session["single_sign_on"] = {**session["single_sign_on"], "at": time.time() - 28_790}
    session.save()
    assert client.get(HOME).status_code == 200
    session["single_sign_on"] = {**session["single_sign_on"], "at": time.time() - 28_801}
    session.save()
    assert client.get(HOME).status_code == 302
    assert client.get("/api/v1/runs").status_code == 401


def test_session_ends_when_the_provider_is_removed(
    client: Client, provider: Provider, settings: Settings
) -> None:
    log_in(client)
    settings.OIDC_ISSUER = ""
    assert client.get(HOME).status_code == 302
