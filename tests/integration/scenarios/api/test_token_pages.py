"""The admin creates a token, shows it once, and revokes it."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from scenarios.models.access import ApiToken
from tests.integration.scenarios.api.conftest import Program, person

pytestmark = pytest.mark.django_db
LIST = "/admin/scenarios/apitoken/"


def open_browser(user: User) -> Client:
    User.objects.filter(pk=user.pk).update(is_staff=True)
    client = Client()
    client.force_login(user)
    return client


def make(client: Client, **fields: Any) -> Any:
    return client.post(f"{LIST}add/", {"name": "the nightly build", "scopes": ["read"], "days": 30, **fields})


def test_own_token_is_created_and_shown_once(admin_user: User) -> None:
    client = open_browser(admin_user)
    assert "read: see scenarios, runs, faults" in client.get(f"{LIST}add/").content.decode()
    page = make(client).content.decode()
    secret = re.findall(r"<code>(tc_[-\w]+)</code>", page)[0]
    assert Program(secret, Client()).get("runs").status_code == 200
    token = ApiToken.objects.get()
    assert (token.owner, token.scopes) == (admin_user, ["read"])
    for address in (LIST, reverse("admin:scenarios_apitoken_change", args=[token.pk])):
        content = client.get(address).content.decode()
        assert secret not in content
        assert secret[:11] in content


def test_token_without_a_scope_is_refused(admin_user: User) -> None:
    assert "required" in make(open_browser(admin_user), scopes=[]).content.decode()
    assert not ApiToken.objects.exists()


def test_token_is_revoked_from_the_list(admin_user: User) -> None:
    client = open_browser(admin_user)
    make(client)
    token = ApiToken.objects.get()
    client.post(LIST, {"action": "revoke", "_selected_action": [token.pk]})
    token.refresh_from_db()
    assert token.state == "revoked"


def test_users_see_only_their_own_tokens(admin_user: User) -> None:
    make(open_browser(admin_user))
    other = open_browser(person("scenarios.view_apitoken"))
    assert "the nightly build" not in other.get(LIST).content.decode()
    assert make(other).status_code == 403
