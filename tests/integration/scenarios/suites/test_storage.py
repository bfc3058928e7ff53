"""Suites are stored with their versions, and their cells follow the document."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from scenarios.domain.errors import InvalidDocument
from scenarios.domain.suite_states import CellState
from scenarios.models import Scenario, Service, Suite, SuiteCell, SuiteRun
from scenarios.suites.documents import read_suite
from scenarios.suites.storage import SuiteIsRunning, remove_suite, restore_version, save_suite
from tests.command_line import CommandLine
from tests.integration.scenarios.suites.suite_rows import (
    CATALOGUE,
    TEXT,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db
OTHER = TEXT.replace("[slow, hanging, cpu]", "[hanging, resetting]")


@pytest.fixture(autouse=True)
def services() -> None:
    register_services()


def list_cells(suite: Suite) -> list[tuple[str, str]]:
    return list(suite.cells.values_list("dependency", "fault"))


def test_a_suite_has_a_cell_for_each_dependency_and_fault() -> None:
    save_catalogue()
    suite = store_suite()
    assert list_cells(suite) == [
        *(("shop-db", "slow"), ("shop-db", "hanging"), ("shop-db", "cpu")),
        *(("cache", "refused"), ("cache", "paused")),
    ]
    obstacles = dict(suite.cells.exclude(obstacle="").values_list("fault", "obstacle"))
    assert obstacles == {"cpu": "the suite names no host of 'shop-db'"}


def test_proofs_are_kept_for_cells_that_a_new_version_still_has() -> None:
    suite = store_suite()
    now = timezone.now()
    SuiteCell.objects.filter(fault__in=["slow", "hanging"]).update(state=CellState.SURVIVED, proved_at=now)
    changed = store_suite(OTHER.replace("recover_within: 10s", "fresh_for: 2d"))
    assert changed.pk == suite.pk
    cells = {cell.fault: cell for cell in changed.cells.filter(dependency="shop-db")}
    assert {name: cell.state for name, cell in cells.items()} == {
        "hanging": CellState.SURVIVED,
        "resetting": CellState.NEVER_TRIED,
    }
    assert cells["hanging"].fresh_until == now + timedelta(days=2)


def test_the_same_document_makes_no_version_and_an_earlier_one_can_be_restored() -> None:
    suite = store_suite()
    store_suite()
    store_suite(OTHER)
    versions = list(suite.history.order_by("history_id").values_list("history_id", "document"))
    assert [document for _, document in versions] == [TEXT, OTHER]
    restored = restore_version(suite, versions[0][0])
    assert restored.document == TEXT
    assert len(list_cells(restored)) == 5


def test_a_suite_is_stored_only_if_its_services_are_registered() -> None:
    Service.objects.filter(name="cache").delete()
    with pytest.raises(InvalidDocument, match="unknown service 'cache'"):
        read_suite(TEXT)


def test_a_suite_that_runs_cannot_be_removed() -> None:
    suite = store_suite()
    run = SuiteRun.objects.create(suite=suite, suite_name=suite.name, document=TEXT, started_from="cli")
    with pytest.raises(SuiteIsRunning, match=run.short_id):
        remove_suite("shop")
    run.delete()
    remove_suite("shop")
    assert not SuiteCell.objects.exists()
    again = save_suite(read_suite(TEXT))
    assert again.pk == suite.pk
    assert again.history.count() == 3


def test_import_and_validate_take_suites_and_scenarios_alike(scenario: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(TEXT.replace("name: shop,", "name: dependency-slow,"))
    (tmp_path / "scenario.yaml").write_text((CATALOGUE / "dependency-slow.yaml").read_text())
    assert scenario("validate", tmp_path).code == 0
    said = scenario("import", tmp_path)
    assert said.code == 0
    assert "suite dependency-slow: stored" in said.out
    assert (Suite.objects.get().name, Scenario.objects.get().name) == ("dependency-slow", "dependency-slow")
    again = json.loads(scenario("import", tmp_path, "--check", "--json").out)
    assert {(item["subject"], item["change"]) for item in again["changes"]} == {
        ("suite", "unchanged"),
        ("scenario", "unchanged"),
    }
    (tmp_path / "suite.yaml").unlink()
    scenario("import", tmp_path, "--prune")
    assert not Suite.objects.exists()
    assert Scenario.objects.exists()


def test_import_shows_the_line_of_a_mistake_and_stores_nothing(scenario: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "suite.yaml"
    file.write_text(TEXT.replace("kind: redis", "kind: rediss"))
    said = scenario("import", file)
    assert said.code == 2
    assert f"{file}:9:" in said.out
    assert not Suite.objects.exists()
