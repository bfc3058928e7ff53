"""`import --prune` removes what is in none of the folders: it asks at a terminal, and names what suffers."""

import io
import sys
from pathlib import Path

import pytest

from coordinator_client.command_line import confirmation
from scenarios.models import Scenario, Schedule, Suite
from tests.command_line import CommandLine
from tests.integration.scenarios.api.test_last_runs import store
from tests.integration.scenarios.story_rows import DOCUMENT
from tests.integration.scenarios.suites.suite_rows import TWO_CELLS, register_services, store_suite

pytestmark = pytest.mark.django_db
GONE = DOCUMENT.replace("name: exchange-latency", "name: gone", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one of two stored scenarios; schedules start the other one, and a suite."""
    (tmp_path / "exchange.yaml").write_text(DOCUMENT)
    for document in (DOCUMENT, GONE):
        store(document)
    register_services()
    store_suite(TWO_CELLS)
    Schedule.objects.create(name="nightly", scenario_name="gone", cron="30 2 * * *")
    Schedule.objects.create(name="weekly", suite_name="shop", cron="0 3 * * SUN")
    Schedule.objects.create(name="hourly", scenario_name="exchange-latency", cron="0 * * * *")
    return tmp_path


def answer(patch: pytest.MonkeyPatch, word: str) -> None:
    """What a person types at a terminal."""
    patch.setattr(confirmation, "has_terminal", lambda: True)
    patch.setattr(sys, "stdin", io.StringIO(f"{word}\n"))


def count_stored() -> tuple[int, int]:
    return Scenario.objects.count(), Suite.objects.count()


def test_a_person_sees_what_would_be_removed_and_may_refuse(
    either: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, "")
    said = either("import", folder, "--prune")
    assert said.code == 2
    assert "scenario gone: would be removed; named by schedule 'nightly'" in said.out
    assert "suite shop: would be removed; named by schedule 'weekly'" in said.out
    assert "Remove 1 scenario and 1 suite? [y/N]" in said.err
    assert "Nothing was changed." in said.err
    assert count_stored() == (2, 1)
    answer(monkeypatch, "y")
    said = either("import", folder, "--prune")
    assert "suite shop: removed" in said.out
    assert count_stored() == (1, 0)
    assert "Remove" not in either("import", folder, "--prune").err  # nothing is left to remove


@pytest.mark.parametrize("options", [["--yes"], []])
def test_with_yes_or_without_a_terminal_nobody_is_asked(
    either: CommandLine, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    if options:
        answer(monkeypatch, "n")
    said = either("import", folder, "--prune", *options)
    assert (said.code, "[y/N]" in said.err) == (0, False)
    assert "Schedule 'nightly' still names 'gone' and can start no run of it." in said.err
    assert "Schedule 'weekly' still names 'shop' and can start no run of it." in said.err
    assert "hourly" not in said.err
    assert count_stored() == (1, 0)


def test_check_and_json_name_the_schedules_too(either: CommandLine, folder: Path) -> None:
    said = either("import", folder, "--prune", "--check", "--json")
    assert (said.code, said.json["schedules"]) == (1, ["nightly", "weekly"])
    assert "Schedule 'nightly' names 'gone' and could then start no run of it." in said.err
    done = either("import", folder, "--prune", "--json").json
    assert (done["stored"], done["schedules"]) == (True, ["nightly", "weekly"])
    assert either("import", folder, "--prune", "--json").json["schedules"] == []
