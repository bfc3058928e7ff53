"""Login by OpenID Connect against a real provider: who may enter, as whom, and what is not believed."""

import re
import time
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from coordinator_site import environment
from coordinator_site.checks import check_single_sign_on
from coordinator_site.models import Identity
from scenarios.access import tokens
from scenarios.models.access import ApiToken
from tests.servers.oidc_provider import CLIENT_ID, CLIENT_SECRET, Provider, a_key
from tests.without_module import run_without

pytestmark = pytest.mark.django_db

HOME = "/admin/"
LOGIN = "/admin/login/"


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    with Provider().listening() as listening:
        settings.OIDC_ISSUER = listening.issuer
        settings.OIDC_CLIENT_ID, settings.OIDC_CLIENT_SECRET = CLIENT_ID, CLIENT_SECRET
        settings.OIDC_STAFF_GROUPS, settings.OIDC_SUPERUSER_GROUPS = ["sre"], ["admins"]
        settings.OIDC_GROUP_MAP = {"sre": "Runner", "qa": "Viewer"}
        yield listening


def log_in(client: Client, **query: str) -> HttpResponse:
    """There, through the provider, and back, as a browser goes."""
    there = client.get("/oidc/login/", query)
    back = requests.get(there["Location"], allow_redirects=False, timeout=10).headers["Location"]
    parts = urlsplit(back)
    return client.get(f"{parts.path}?{parts.query}")  # type: ignore[return-value]


def words_on_the_login_page(client: Client) -> str:
    return client.get(LOGIN).content.decode()


def test_a_member_of_a_group_enters_with_the_rights_that_it_gives(client: Client, provider: Provider) -> None:
    provider.person |= {"email": "ann@example.com", "given_name": "Ann", "family_name": 7}
    assert log_in(client, next="/admin/scenarios/run/")["Location"] == "/admin/scenarios/run/"
    user = Identity.objects.get(issuer=provider.issuer, subject="248289761001").user
    assert (user.username, user.email, user.first_name, user.last_name) == (
        "ann",
        "ann@example.com",
        "Ann",
        "",
    )
    assert (user.is_staff, user.is_superuser, user.has_usable_password()) == (True, False, False)
    assert [group.name for group in user.groups.all()] == ["Runner"]
    assert client.get(HOME).status_code == 200
    assert client.session.get_expiry_age() == 28_800
    assert {"code_challenge", "nonce", "state"} < set(provider.asked)
    assert provider.asked["code_challenge_method"] == "S256"


def test_rights_follow_the_groups_of_the_next_login_and_what_was_given_by_hand_stays(
    client: Client, provider: Provider
) -> None:
    provider.person["groups"] = ["sre", "admins"]
    log_in(client)
    user = User.objects.get()
    assert user.is_superuser
    user.groups.add(Group.objects.create(name="by hand"))
    provider.person["groups"] = ["sre-of-others", "qa"]
    log_in(Client())
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser) == (False, False)
    assert {group.name for group in user.groups.all()} == {"by hand", "Viewer"}
    assert client.get(HOME).status_code == 302


def names_of_groups() -> set[str]:
    return set(User.objects.get().groups.values_list("name", flat=True))


def test_who_is_no_longer_made_superuser_by_the_settings_is_none(
    client: Client, provider: Provider, settings: Settings
) -> None:
    provider.person["groups"] = ["sre", "admins"]
    log_in(client)
    assert User.objects.get().is_superuser
    settings.OIDC_SUPERUSER_GROUPS = []
    log_in(Client())
    assert not User.objects.get().is_superuser


def test_a_group_goes_with_the_mapping_that_gave_it(
    client: Client, provider: Provider, settings: Settings
) -> None:
    log_in(client)
    User.objects.get().groups.add(Group.objects.get(name="Approver"))
    settings.OIDC_GROUP_MAP = {"sre": "Viewer"}
    log_in(Client())
    assert names_of_groups() == {"Viewer", "Approver"}
    settings.OIDC_GROUP_MAP = {}
    log_in(Client())
    assert names_of_groups() == {"Approver"}


def test_a_group_that_does_not_exist_is_not_made(
    client: Client, provider: Provider, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OIDC_GROUP_MAP = {"sre": "operators"}
    log_in(client)
    assert names_of_groups() == set()
    assert not Group.objects.filter(name="operators").exists()
    assert "'operators', which does not exist here" in caplog.text


def test_people_whom_no_provider_knows_stay_as_they_are(client: Client, provider: Provider) -> None:
    local = User.objects.create_superuser("local")
    local.groups.add(Group.objects.get(name="Runner"))
    secret = tokens.create_token(local, "a test", ["read"])[1]
    provider.person["groups"] = ["sre"]
    log_in(client)
    local.refresh_from_db()
    assert (local.is_superuser, local.groups.count()) == (True, 1)
    local.is_staff = False
    local.save()
    assert ask_with(secret) == 200


def ask_with(secret: str) -> int:
    return Client().get("/api/v1/runs", headers={"Authorization": f"Bearer {secret}"}).status_code


def age(seconds: int) -> None:
    Identity.objects.update(entered_at=timezone.now() - timedelta(seconds=seconds))


def test_a_token_opens_nothing_once_the_last_login_is_too_old_and_works_again_after_the_next(
    client: Client, provider: Provider, settings: Settings
) -> None:
    log_in(client)
    secret = tokens.create_token(User.objects.get(), "the nightly build", ["read", "run"])[1]
    assert ask_with(secret) == 200
    age(settings.OIDC_TOKEN_SECONDS - 60)
    assert ask_with(secret) == 200
    age(settings.OIDC_TOKEN_SECONDS + 1)
    assert ask_with(secret) == 401
    assert ApiToken.objects.get().state == "waits for its owner's next login"
    log_in(Client())
    assert (ask_with(secret), ApiToken.objects.get().state) == (200, "valid")


@pytest.mark.parametrize("groups", [[], ["qa"]])
def test_whoever_was_put_out_of_the_groups_has_no_token_from_the_login_that_is_refused_on(
    client: Client, provider: Provider, groups: list[str]
) -> None:
    log_in(client)
    user = User.objects.get()
    user.user_permissions.set(Permission.objects.filter(codename="view_run"))
    secret = tokens.create_token(user, "a test", ["read", "run"])[1]
    provider.person["groups"] = groups
    assert log_in(Client())["Location"] == LOGIN
    assert ask_with(secret) == 401
    assert client.get(HOME).status_code == 302
    assert client.get("/api/v1/runs").status_code in {200, 403}


def test_a_login_ends_on_time_however_much_it_is_used(
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


def test_a_login_ends_with_its_provider(client: Client, provider: Provider, settings: Settings) -> None:
    log_in(client)
    settings.OIDC_ISSUER = ""
    assert client.get(HOME).status_code == 302


def test_what_earlier_logins_gave_is_taken_over(client: Client, provider: Provider) -> None:
    log_in(client)
    User.objects.get().groups.add(Group.objects.create(name="by hand"))
    Identity.objects.update(entered_at=None, given_groups=[])
    migration = import_module("coordinator_site.migrations.0002_what_the_provider_gave")
    migration.take_over(apps, None)
    identity = Identity.objects.get()
    assert (identity.given_groups, identity.entered_at) == (["Runner"], identity.seen_at)


@pytest.mark.parametrize("groups", [[], ["qa"], "qa", {"sre": True}, None, 7])
def test_who_is_in_no_group_that_may_enter_stays_outside_and_leaves_nothing(
    client: Client, provider: Provider, groups: Any
) -> None:
    provider.person["groups"] = groups
    assert log_in(client)["Location"] == LOGIN
    assert "none of your groups may enter here" in words_on_the_login_page(client)
    assert not User.objects.exists()


def test_a_name_that_somebody_here_has_already_does_not_make_one_that_person(
    client: Client, provider: Provider
) -> None:
    local = User.objects.create_superuser("ann", "ann@example.com", "made-up-password")
    provider.person["email"] = "ann@example.com"
    log_in(client)
    user = Identity.objects.get().user
    assert user != local
    assert user.username.startswith("ann-")
    assert not user.is_superuser
    log_in(Client())
    assert User.objects.count() == 2


def test_somebody_who_was_deactivated_here_stays_outside(client: Client, provider: Provider) -> None:
    log_in(client)
    User.objects.update(is_active=False)
    assert log_in(Client())["Location"] == LOGIN


LIES: dict[str, dict[str, Any]] = {
    "a nonce of another login": {"nonce": "another"},
    "a token for another client": {"aud": "another"},
    "a token for another that names us as its party": {"aud": "another", "azp": CLIENT_ID},
    "a token of another issuer": {"iss": "https://elsewhere.example.com"},
    "a token that has expired": {"exp": int(time.time()) - 3600, "iat": int(time.time()) - 7200},
    "a token of the future": {"nbf": int(time.time()) + 3600},
}


@pytest.mark.parametrize("lies", LIES.values(), ids=LIES)
def test_a_token_that_is_not_for_this_login_is_refused(
    client: Client, provider: Provider, lies: dict[str, Any]
) -> None:
    provider.lies = lies
    assert log_in(client)["Location"] == LOGIN
    assert "could not be trusted or read" in words_on_the_login_page(client)
    assert not User.objects.exists()


def test_a_token_signed_by_another_key_is_refused(client: Client, provider: Provider) -> None:
    provider.key = a_key("stolen", kid="one")
    assert log_in(client)["Location"] == LOGIN
    assert not User.objects.exists()


def test_a_key_that_the_provider_changed_meanwhile_is_fetched(client: Client, provider: Provider) -> None:
    log_in(client)
    provider.key = provider.published = a_key("two")
    assert log_in(Client())["Location"] == HOME


def test_an_answer_that_nobody_asked_for_is_refused(client: Client, provider: Provider) -> None:
    log_in(client)
    stranger = Client()
    assert stranger.get("/oidc/callback/?code=the-code&state=made-up")["Location"] == LOGIN
    assert stranger.get("/oidc/callback/?error=access_denied")["Location"] == LOGIN
    assert stranger.get(HOME).status_code == 302


def test_groups_are_taken_from_userinfo_where_the_token_has_none_but_never_of_another_person(
    client: Client, provider: Provider
) -> None:
    groups = provider.person.pop("groups")
    provider.by_userinfo = {"groups": groups, "sub": "somebody else"}
    assert log_in(client)["Location"] == LOGIN
    provider.by_userinfo = {"groups": groups}
    assert log_in(client)["Location"] == HOME


def test_a_provider_that_is_away_or_another_leaves_the_login_page_working(
    client: Client, provider: Provider, settings: Settings
) -> None:
    settings.OIDC_ISSUER = "http://127.0.0.1:1"
    assert client.get("/oidc/login/")["Location"] == LOGIN
    settings.OIDC_ISSUER = f"{provider.issuer}/"
    assert client.get("/oidc/login/")["Location"] == LOGIN
    assert "the provider calls itself" in words_on_the_login_page(client)


@pytest.mark.parametrize("page", ["https://elsewhere.example.com/", "//elsewhere.example.com", "", "/\\x"])
def test_nobody_is_sent_elsewhere_after_the_login(client: Client, provider: Provider, page: str) -> None:
    assert log_in(client, next=page)["Location"] == HOME


def test_the_login_page_offers_both_ways_and_without_a_provider_the_password_alone(
    client: Client, provider: Provider, settings: Settings
) -> None:
    settings.OIDC_NAME = "Example <SSO>"
    both = client.get(LOGIN, {"next": "/admin/x/?a=b&c"}).content.decode()
    assert "Log in with Example &lt;SSO&gt;" in both
    assert 'href="/oidc/login/?next=/admin/x/%3Fa%3Db%26c"' in both
    assert 'name="password"' in both
    settings.OIDC_ISSUER = ""
    assert "Log in with" not in words_on_the_login_page(client)
    assert [client.get(f"/oidc/{way}/").status_code for way in ("login", "callback")] == [404, 404]


def test_settings_that_could_let_nobody_in_or_anybody_are_said_at_start(settings: Settings) -> None:
    assert check_single_sign_on() == []
    settings.OIDC_CLIENT_ID = "us"
    assert ids() == ["E001"]
    settings.OIDC_ISSUER = "http://sso.example.com"
    assert ids() == ["E003", "E004", "E005"]
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_SECRET = "https://sso.example.com", "made-up"
    settings.OIDC_STAFF_GROUPS = ["sre"]
    assert ids() == []


@pytest.mark.parametrize(
    ("group", "hint"),
    [
        ("operators", "There are Viewer, Runner"),
        ("editor", "Did you mean 'Editor'?"),
        ("Edit0r", "'Editor'?"),
    ],
)
def test_a_mapping_to_a_group_that_does_not_exist_is_refused_at_start(
    settings: Settings, group: str, hint: str
) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://sso.example.com", "us"
    settings.OIDC_CLIENT_SECRET, settings.OIDC_STAFF_GROUPS = "made-up", ["sre"]
    settings.OIDC_GROUP_MAP = {"sre": "Administrator", "qa": group}
    assert ids() == ["E006"]
    (found,) = check_single_sign_on()
    assert repr(group) in found.msg
    assert hint in str(found.hint)
    Group.objects.create(name=group)
    assert ids() == []


def test_the_example_of_the_guide_maps_to_groups_that_exist(settings: Settings) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "integrations.md").read_text()
    example = re.search(r"^OIDC_GROUP_MAP=(.*)$", guide, re.MULTILINE)
    assert example is not None
    settings.OIDC_GROUP_MAP = environment.pairs("OIDC_GROUP_MAP", example[1].split(","))
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://sso.example.com", "us"
    settings.OIDC_CLIENT_SECRET, settings.OIDC_STAFF_GROUPS = "made-up", ["sre"]
    assert ids() == []


def test_without_authlib_the_check_says_what_to_install() -> None:
    program = """
import sys
from django.core.management import execute_from_command_line
execute_from_command_line(["manage.py", "check"])
"""
    ended = run_without("authlib", program, DJANGO_SETTINGS_MODULE="coordinator_site.settings")
    assert ended.returncode == 0, ended.stderr
    given = {"OIDC_CLIENT_ID": "us", "OIDC_CLIENT_SECRET": "made-up", "OIDC_STAFF_GROUPS": "sre"}
    issuer = {"OIDC_ISSUER": "https://sso.example.com", "DJANGO_SETTINGS_MODULE": "coordinator_site.settings"}
    ended = run_without("authlib", program, **given, **issuer)
    assert ended.returncode == 1
    assert "coordinator_site.E002" in ended.stderr
    assert "pip install 'authlib>=1.9'" in ended.stderr


def ids() -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in check_single_sign_on()]
