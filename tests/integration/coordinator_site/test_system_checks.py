"""Which system checks come before which command."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.core import checks
from django.core.checks.registry import registry
from django.core.management import call_command, get_commands, load_command_class
from django.core.management.base import SystemCheckError
from pytest_django.fixtures import Settings

from scenarios.checks import BEFORE_COMMANDS

PROJECT = Path(__file__).resolve().parents[3]
OWN = ("coordinator_site", "metrics_app", "scenarios")
WITH_ALL_CHECKS = {"up", "language_reference", "serve_metrics"}
PAGES = {"coordinator_site.urls", "scenarios.admin", "scenarios.api"}
LOADED = f"""
import json, sys
from django.core.management import call_command
for tags in ({list(BEFORE_COMMANDS)!r}, ["admin"]):
    call_command("check", tags=tags)
    print(json.dumps(sorted({PAGES!r}.intersection(sys.modules))))
"""


def test_every_check_of_an_installation_comes_before_each_command() -> None:
    own = [check for check in registry.get_checks() if check.__module__.startswith(OWN)]
    others = [check for check in own if not {*BEFORE_COMMANDS, checks.Tags.database} & {*check.tags}]
    assert len(own) > len(others) > 0
    # That of the pages; the others need the tag of an installation.
    assert {check.__module__ for check in others} == {"coordinator_site.apps"}


def test_commands_make_the_checks_of_an_installation_or_all_of_them() -> None:
    for name, app in get_commands().items():
        if not app.startswith(OWN):
            continue
        required = load_command_class(app, name).requires_system_checks
        assert required in (BEFORE_COMMANDS, (), []) or name in WITH_ALL_CHECKS, name


@pytest.mark.parametrize("command", [("scenario", "list"), ("watchdog",), ("db_worker",)])
def test_a_driver_that_cannot_be_loaded_is_refused(settings: Settings, command: tuple[str, ...]) -> None:
    settings.SCENARIO_DRIVERS = ["missing.Driver"]
    with pytest.raises(SystemCheckError, match=r"scenarios\.E001"):
        call_command(*command, skip_checks=False)


def test_checks_of_an_installation_load_no_pages_and_those_of_the_admin_load_its_own() -> None:
    command = [sys.executable, "manage.py", "shell", "--no-imports", "-c", LOADED]
    told = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True, timeout=600)
    loaded = [json.loads(line) for line in told.stdout.splitlines() if line.startswith("[")]
    assert loaded[0] == []
    assert "scenarios.admin" in loaded[1]
