"""`scenario suite`: run, list, show and stop, with exit codes for CI, on this machine and over the API."""

import json
import time
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from coordinator_client.command_line import suite_verbs
from scenarios.domain.outcomes import Outcome
from scenarios.domain.suite_states import CellState, SuiteRunState
from scenarios.models import Run, Schedule, Suite, SuiteRun
from scenarios.suites import running
from tests.command_line import CommandLine
from tests.integration.scenarios.suites.ended_runs import end_run
from tests.integration.scenarios.suites.matrix_rows import prove
from tests.integration.scenarios.suites.suite_rows import (
    REFUSED,
    SLOW,
    TWO_CELLS,
    register_services,
    save_catalogue,
    store_suite,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def suite() -> Suite:
    register_services()
    save_catalogue(SLOW, REFUSED)
    return store_suite(TWO_CELLS)


def end_each_run(patch: pytest.MonkeyPatch, *outcomes: Outcome) -> None:
    """The worker's part: each run that the suite has begun is over at the next look."""
    left, advance = list(outcomes), running.advance

    def end_and_advance(suite_run_id: object) -> None:
        for run in Run.objects.unfinished():
            end_run(run, left.pop(0), reason="as the test says")
        advance(suite_run_id)  # type: ignore[arg-type]

    def let_the_watchdog_look(_seconds: float) -> None:
        for suite_run in SuiteRun.objects.filter(state=SuiteRunState.RUNNING):
            running.advance(suite_run.pk)

    patch.setattr(running, "advance", end_and_advance)
    clock = SimpleNamespace(sleep=let_the_watchdog_look, monotonic=time.monotonic)
    patch.setattr(suite_verbs, "time", clock)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ((Outcome.PASSED, Outcome.PASSED), 0),
        ((Outcome.FAILED, Outcome.PASSED), 1),
        ((Outcome.PASSED, Outcome.ERRORED), 3),
    ],
)
def test_the_exit_code_is_0_only_if_no_cell_failed(
    suite: Suite,
    either: CommandLine,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    *,
    outcomes: tuple[Outcome, ...],
    code: int,
) -> None:
    end_each_run(monkeypatch, *outcomes)
    said = either("suite", "run", "shop", "--junit", tmp_path / "shop.xml")
    assert said.code == code, said.out
    assert "shop-db, slow (run " in said.out
    report = ET.fromstring((tmp_path / "shop.xml").read_text())  # noqa: S314 - our own
    assert report[0].attrib["tests"] == "3"


def test_json_is_the_record_of_the_api(
    suite: Suite, either: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    end_each_run(monkeypatch, Outcome.PASSED, Outcome.PASSED)
    record = json.loads(either("suite", "run", "shop", "--json").out)
    assert record["status"] == "passed"
    assert [cell["state"] for cell in record["cells"]] == ["survived", "survived"]
    listed = json.loads(either("suite", "list", "--json").out)
    assert listed["items"][0]["counts"]["survived"] == 2


def test_show_has_the_state_of_each_cell(suite: Suite, either: CommandLine) -> None:
    run = prove(suite, "slow", CellState.SURVIVED)
    said = either("suite", "show", "shop")
    assert said.code == 0
    assert str(run.pk)[:8] in said.out
    assert "never tried" in said.out


def test_a_misspelt_name_gets_a_suggestion_and_a_second_run_is_refused(
    suite: Suite, either: CommandLine
) -> None:
    said = either("suite", "run", "shopp")
    assert said.code == 7
    assert "did you mean 'shop'?" in said.err
    running.start_suite(suite, origin="api")
    again = either("suite", "run", "shop")
    assert again.code == 2
    assert "cannot be started now" in again.err
    assert "is stopping" in either("suite", "stop", "shop").out
    assert "is not running" in either("suite", "stop", "shop").out
    for verb in ("show", "stop"):
        missing = either("suite", verb, "shopp")
        assert (missing.code, "There is no suite 'shopp'; did you mean 'shop'?" in missing.err) == (7, True)


def test_exported_suites_are_imported_again_unchanged(
    suite: Suite, either: CommandLine, tmp_path: Path
) -> None:
    either("export", "--all", tmp_path)
    assert (tmp_path / f"{suite.name}.suite.yaml").read_text() == suite.document
    assert either("import", tmp_path, "--check", "--prune").code == 0


def test_one_suite_is_exported_deleted_and_imported(
    suite: Suite, either: CommandLine, tmp_path: Path
) -> None:
    hint = either("export", "shop")
    assert (hint.code, "suite export shop' writes it" in hint.err) == (7, True)
    file = tmp_path / "shop.yaml"
    either("suite", "export", "shop", "-o", file)
    assert file.read_text() == suite.document == either("suite", "export", "shop").out
    Schedule.objects.create(name="weekly", suite_name="shop", cron="0 3 * * SUN")
    suite_run = running.start_suite(suite, origin="api")
    refused = either("suite", "delete", "shop")
    assert (refused.code, "goes on" in refused.err) == (2, True)
    running.request_suite_stop(suite_run, by="ada")
    for run in Run.objects.unfinished():
        end_run(run, Outcome.ABORTED, reason="as the test says")
    running.advance(suite_run.pk)
    deleted = either("suite", "delete", "shop", "--json")
    assert (deleted.code, deleted.json) == (0, {"deleted": "shop"}), deleted.err
    assert "Schedule 'weekly' still names 'shop' and can start no run of it." in deleted.err
    assert either("suite", "delete", "shop").code == 7
    assert "suite shop: stored" in either("suite", "import", file).out
