"""Who may log in by OpenID Connect, as which user, with which groups and permissions."""

from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client
from pytest_django.fixtures import Settings

from coordinator_site.models import Identity
from scenarios.access import tokens
from tests.integration.coordinator_site.single_sign_on_logins import (
    HOME,
    LOGIN,
    call_api,
    log_in,
    read_login_page,
)
from tests.servers.oidc_provider import Provider

pytestmark = pytest.mark.django_db


def test_member_of_staff_group_logs_in_with_its_permissions(client: Client, provider: Provider) -> None:
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


def test_next_login_updates_permissions_and_keeps_groups_given_by_hand(
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


def get_group_names() -> set[str]:
    return set(User.objects.get().groups.values_list("name", flat=True))


def test_superuser_ends_when_settings_no_longer_name_the_group(
    client: Client, provider: Provider, settings: Settings
) -> None:
    provider.person["groups"] = ["sre", "admins"]
    log_in(client)
    assert User.objects.get().is_superuser
    settings.OIDC_SUPERUSER_GROUPS = []
    log_in(Client())
    assert not User.objects.get().is_superuser


def test_group_is_removed_when_its_mapping_is_removed(
    client: Client, provider: Provider, settings: Settings
) -> None:
    log_in(client)
    User.objects.get().groups.add(Group.objects.get(name="Approver"))
    settings.OIDC_GROUP_MAP = {"sre": "Viewer"}
    log_in(Client())
    assert get_group_names() == {"Viewer", "Approver"}
    settings.OIDC_GROUP_MAP = {}
    log_in(Client())
    assert get_group_names() == {"Approver"}


def test_unknown_group_is_not_created(
    client: Client, provider: Provider, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.OIDC_GROUP_MAP = {"sre": "operators"}
    log_in(client)
    assert get_group_names() == set()
    assert not Group.objects.filter(name="operators").exists()
    assert "'operators', which does not exist" in caplog.text


def test_users_without_single_sign_on_are_not_changed(client: Client, provider: Provider) -> None:
    local = User.objects.create_superuser("local")
    local.groups.add(Group.objects.get(name="Runner"))
    secret = tokens.create_token(local, "a test", ["read"])[1]
    provider.person["groups"] = ["sre"]
    log_in(client)
    local.refresh_from_db()
    assert (local.is_superuser, local.groups.count()) == (True, 1)
    local.is_staff = False
    local.save()
    assert call_api(secret) == 200


def test_migration_fills_groups_of_earlier_logins(client: Client, provider: Provider) -> None:
    log_in(client)
    User.objects.get().groups.add(Group.objects.create(name="by hand"))
    Identity.objects.update(entered_at=None, given_groups=[])
    migration = import_module("coordinator_site.migrations.0002_what_the_provider_gave")
    migration.take_over(apps, None)
    identity = Identity.objects.get()
    assert (identity.given_groups, identity.entered_at) == (["Runner"], identity.seen_at)


@pytest.mark.parametrize("groups", [[], ["qa"], "qa", {"sre": True}, None, 7])
def test_person_without_staff_group_is_refused_and_not_stored(
    client: Client, provider: Provider, groups: Any
) -> None:
    provider.person["groups"] = groups
    assert log_in(client)["Location"] == LOGIN
    assert "none of your groups may log in here" in read_login_page(client)
    assert not User.objects.exists()


def test_same_user_name_does_not_give_access_to_an_existing_account(
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


def test_deactivated_user_is_refused(client: Client, provider: Provider) -> None:
    log_in(client)
    User.objects.update(is_active=False)
    assert log_in(Client())["Location"] == LOGIN
