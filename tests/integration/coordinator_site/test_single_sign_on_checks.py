"""System checks of the single sign-on settings."""

import re
from pathlib import Path

import pytest
from django.contrib.auth.models import Group
from pytest_django.fixtures import Settings

from coordinator_site import environment
from coordinator_site.checks import check_single_sign_on
from tests.without_module import run_without

pytestmark = pytest.mark.django_db


def test_check_finds_incomplete_or_unsafe_settings(settings: Settings) -> None:
    assert check_single_sign_on() == []
    settings.OIDC_CLIENT_ID = "us"
    assert find_errors() == ["E001"]
    settings.OIDC_ISSUER = "http://sso.example.com"
    assert find_errors() == ["E003", "E004", "E005"]
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_SECRET = "https://sso.example.com", "made-up"
    settings.OIDC_STAFF_GROUPS = ["sre"]
    assert find_errors() == []


@pytest.mark.parametrize(
    ("group", "hint"),
    [
        ("operators", "Known groups are Viewer, Runner"),
        ("editor", "Did you mean 'Editor'?"),
        ("Edit0r", "'Editor'?"),
    ],
)
def test_check_finds_mapping_to_unknown_group(settings: Settings, group: str, hint: str) -> None:
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://sso.example.com", "us"
    settings.OIDC_CLIENT_SECRET, settings.OIDC_STAFF_GROUPS = "made-up", ["sre"]
    settings.OIDC_GROUP_MAP = {"sre": "Administrator", "qa": group}
    assert find_errors() == ["E006"]
    (found,) = check_single_sign_on()
    assert repr(group) in found.msg
    assert hint in str(found.hint)
    Group.objects.create(name=group)
    assert find_errors() == []


def test_example_in_the_guide_maps_to_existing_groups(settings: Settings) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "integrations.md").read_text()
    example = re.search(r"^OIDC_GROUP_MAP=(.*)$", guide, re.MULTILINE)
    assert example is not None
    settings.OIDC_GROUP_MAP = environment.pairs("OIDC_GROUP_MAP", example[1].split(","))
    settings.OIDC_ISSUER, settings.OIDC_CLIENT_ID = "https://sso.example.com", "us"
    settings.OIDC_CLIENT_SECRET, settings.OIDC_STAFF_GROUPS = "made-up", ["sre"]
    assert find_errors() == []


def test_check_without_authlib_says_what_to_install() -> None:
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


def find_errors() -> list[str]:
    return [str(message.id).rpartition(".")[2] for message in check_single_sign_on()]
