"""`scenario import` as GitOps wants it: all or nothing, idempotent, with --check and --prune."""

from pathlib import Path

import pytest

from scenarios.domain.outcomes import Rollback
from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library.sync import NameTaken, _store
from scenarios.models import Run, Scenario
from scenarios.runs import commands as run_commands
from tests.command_line import CommandLine
from tests.integration.scenarios.story_rows import Telling

pytestmark = pytest.mark.django_db

CATALOGUE = Path(__file__).parents[4] / "scenarios" / "catalogue"
DOCUMENT = (CATALOGUE / "exchange-latency.yaml").read_text()
OTHER = DOCUMENT.replace("name: exchange-latency", "name: other", 1)
WRONG = DOCUMENT.replace("method: POST", "metod: POST", 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "exchange.yaml").write_text(DOCUMENT)
    (tmp_path / "deep" / "deeper" / "other.yml").write_text(OTHER)
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "workflow.yml").write_text("on: push")
    (tmp_path / "notes.txt").write_text("no scenario")
    return tmp_path


def stored() -> set[str]:
    return set(Scenario.objects.values_list("name", flat=True))


def test_folder_import_includes_subfolders_but_not_hidden_files(scenario: CommandLine, folder: Path) -> None:
    said = scenario("import", folder)
    assert said.code == 0
    assert stored() == {"exchange-latency", "other"}
    assert "other: stored (" in said.out


def test_every_problem_is_shown_at_its_place_and_nothing_is_stored(
    scenario: CommandLine, folder: Path
) -> None:
    for name in ("wrong-1.yaml", "deep/wrong-2.yaml"):
        (folder / name).write_text(WRONG)
    said = scenario("import", folder)
    line = 1 + WRONG[: WRONG.index("metod")].count("\n")
    assert said.code == 2
    assert f"{folder}/wrong-1.yaml:{line}:" in said.out
    assert f"{folder}/deep/wrong-2.yaml:{line}:" in said.out
    assert stored() == set()


def test_two_files_with_one_name_are_refused(scenario: CommandLine, folder: Path) -> None:
    (folder / "twin.yaml").write_text(OTHER)
    said = scenario("import", folder)
    assert said.code == 2
    assert "has the name 'other', too" in said.out
    assert stored() == set()


def test_repeated_import_makes_no_new_version(scenario: CommandLine, folder: Path) -> None:
    scenario("import", folder)
    assert "other: unchanged" in scenario("import", folder, "--prune").out
    assert Scenario.history.count() == 2


def test_check_shows_changes_and_exits_with_1(scenario: CommandLine, folder: Path) -> None:
    stored_scenarios.save_scenario(
        documents.read_document(DOCUMENT.replace("delay_ms: 500", "delay_ms: 400"))
    )
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT.replace("exchange-latency", "gone", 1)))
    (folder / "exchange.yaml").write_text(DOCUMENT + "# a note\n")
    before = list(Scenario.objects.values())
    said = scenario("import", folder, "--check", "--prune")
    assert said.code == 1
    assert "exchange-latency: changed" in said.out
    assert "\n+# a note\n" in said.out
    assert "--- stored/exchange-latency\n" in said.out
    assert "other: new (" in said.out
    assert "gone: would be removed\n" in said.out
    assert list(Scenario.objects.values()) == before


def test_check_exits_with_0_without_changes(scenario: CommandLine, folder: Path) -> None:
    scenario("import", folder)
    said = scenario("import", folder, "--check", "--prune", "--json")
    assert (said.code, {change["change"] for change in said.json["changes"]}) == (0, {"unchanged"})


def test_prune_removes_the_rest_but_keeps_runs_and_versions(scenario: CommandLine, folder: Path) -> None:
    run = Telling().finish()
    (folder / "exchange.yaml").unlink()
    assert scenario("import", folder, "--prune").code == 0
    assert stored() == {"other"}
    assert Run.objects.get(pk=run.pk).scenario_name == "exchange-latency"
    assert "exchange-latency" in scenario("runs", "--scenario", "exchange-latency").out
    run_commands.start_run(DOCUMENT + "# of a file, never stored", {}, origin="cli")
    again = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    assert list(again.runs.all()) == [run]
    assert [version.history_type for version in again.history.order_by("history_id")] == ["+", "-", "+"]


@pytest.mark.parametrize("ended_dirty", [False, True])
def test_prune_changes_nothing_if_a_scenario_is_still_needed(
    scenario: CommandLine, folder: Path, *, ended_dirty: bool
) -> None:
    telling = Telling()
    if ended_dirty:
        telling.begin()
        telling.finish(Rollback.DIRTY)
    (folder / "exchange.yaml").unlink()
    said = scenario("import", folder, "--prune")
    assert said.code == 2
    why = "is not undone" if ended_dirty else "is running"
    assert why in said.err
    assert stored() == {"exchange-latency"}


def test_prune_needs_folders_with_documents(
    scenario: CommandLine, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    assert "is not a folder" in scenario("import", folder / "exchange.yaml", "--prune").err
    assert scenario("import", tmp_path_factory.mktemp("empty"), "--prune").code == 2
    assert stored() == {"exchange-latency"}


def test_export_equals_import_byte_for_byte(scenario: CommandLine, tmp_path: Path) -> None:
    odd = DOCUMENT.replace("\n", "\r\n", 3) + "# ↩ no newline at the end"
    (tmp_path / "odd.yaml").write_bytes(odd.encode())
    scenario("import", tmp_path / "odd.yaml")
    scenario("export", "exchange-latency", "-o", tmp_path / "out.yaml")
    assert (tmp_path / "out.yaml").read_bytes() == odd.encode()
    assert scenario("export", "exchange-latency").out == odd
    scenario("export", "--all", tmp_path / "new" / "folder")
    assert (tmp_path / "new" / "folder" / "exchange-latency.yaml").read_bytes() == odd.encode()
    assert scenario("import", tmp_path / "new" / "folder", "--check", "--prune").code == 0


def test_export_needs_one_scenario_or_all(scenario: CommandLine, tmp_path: Path) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    assert scenario("export").code == 2
    said = scenario("export", "exchange-latency", "-o", tmp_path / "none" / "x.yaml")
    assert (said.code, "Cannot write" in said.err) == (2, True)


def test_concurrently_stored_name_is_not_replaced() -> None:
    """What two imports at once come to on a database where each sees the name free."""
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT), replace=False)
    changed = documents.read_document(DOCUMENT + "# other\n")
    with pytest.raises(NameTaken, match="'exchange-latency' is already stored"):
        _store(changed, None, replace=False)
    assert Scenario.objects.get().document == DOCUMENT
    _store(changed, None, replace=True)
    assert Scenario.objects.get().document == changed.source
