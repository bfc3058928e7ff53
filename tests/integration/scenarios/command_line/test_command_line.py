"""What the verbs of `scenario` say of runs and faults, to a person and to a program."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.drivers import documents
from scenarios.language.document import Document
from scenarios.library import scenarios as stored_scenarios
from scenarios.management.commands import scenario as command
from scenarios.models import Run, Scenario
from scenarios.runs import commands as run_commands
from scenarios.runs import lifecycle
from tests.command_line import CommandLine
from tests.integration.scenarios.story_rows import DOCUMENT, SLOWED, Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def ended() -> Run:
    telling = Telling()
    telling.begin()
    return telling.finish()


@pytest.mark.parametrize("rollback", list(Rollback))
@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.PASSED, 0),
        (Outcome.FAILED, 1),
        (Outcome.ERRORED, 3),
        (Outcome.ABORTED, 4),
        (Outcome.TIMED_OUT, 5),
        (Outcome.INTERRUPTED, 6),
    ],
)
def test_exit_code_matches_outcome_and_is_never_0_with_dirty_rollback(
    scenario: CommandLine, outcome: Outcome, code: int, rollback: Rollback
) -> None:
    telling = Telling()
    verdict = Verdict(outcome, "it is over", rollback)
    lifecycle.finish_run(telling.claim, verdict, telling.run.queued_at)
    expected = 3 if (outcome, rollback) == (Outcome.PASSED, Rollback.DIRTY) else code
    assert scenario("follow", telling.run.id).code == expected


def test_follow_shows_all_events_or_those_after_a_number(scenario: CommandLine, ended: Run) -> None:
    whole = scenario("follow", ended.short_id).out.splitlines()
    assert whole[-1].startswith("PASSED")
    assert len(whole) == ended.last_event + 1
    assert [int(line.split()[0]) for line in whole[:-1]] == list(range(1, ended.last_event + 1))
    rest = scenario("follow", ended.short_id, "--after", 4).out.splitlines()
    assert rest == whole[4:]


def test_follow_json_writes_one_event_per_line(scenario: CommandLine, ended: Run) -> None:
    events = [json.loads(line) for line in scenario("follow", ended.id, "--json").out.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, ended.last_event + 1))
    assert {"kind", "at", "phase", "step", "data"} <= events[0].keys()


def test_runs_are_filtered_and_limited(scenario: CommandLine, ended: Run) -> None:
    running = Telling().run
    said = scenario("runs", "--json").json["items"]
    assert [run["id"] for run in said] == [str(running.id), str(ended.id)]
    assert [run["id"] for run in scenario("runs", "--status", "passed", "--json").json["items"]] == [
        str(ended.id)
    ]
    assert len(scenario("runs", "--status", "running", "--json").json["items"]) == 1
    assert scenario("runs", "--scenario", "another", "--json").json == {"items": []}
    assert len(scenario("runs", "--limit", 1, "--json").json["items"]) == 1
    assert scenario("runs", "--limit", 0).code == 2


def test_run_is_found_by_any_unique_beginning_of_its_id(scenario: CommandLine, ended: Run) -> None:
    for length in (8, 10, 23, 36):
        assert scenario("report", str(ended.id)[:length], "--format", "md").code == 0
    twin = Run.objects.get(pk=ended.pk)
    twin.pk = type(ended.pk)(int=ended.pk.int ^ 1)
    twin.save(force_insert=True)
    assert "Several runs have an id that begins with" in scenario("report", ended.short_id).err
    for wrong in ("zz", "0" * 40):
        assert scenario("follow", wrong).code == 7


def test_misspelt_names_get_a_suggestion(scenario: CommandLine, ended: Run) -> None:
    for words in (("run", "exchange-latancy"), ("show", "exchange-latancy"), ("export", "exchange-latancy")):
        said = scenario(*words)
        assert (said.code, "did you mean 'exchange-latency'?" in said.err) == (7, True)


def test_show_prints_last_runs_and_document(scenario: CommandLine, ended: Run) -> None:
    said = scenario("show", "exchange-latency")
    assert f"Run {ended.short_id}" in said.out
    assert said.out.endswith(DOCUMENT)
    shown = scenario("show", "exchange-latency", "--json").json
    assert shown["document"] == DOCUMENT
    assert shown["runs"][0]["status"] == "passed"
    (listed,) = scenario("list", "--json").json["items"]
    assert listed["last_run"]["status"] == "passed"
    assert listed["last_run"]["id"] == str(ended.id)


def test_mistakes_are_answered_as_by_the_client(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unknown verb 'apply'; did you mean 'import'?" in scenario("apply", "x").err
    assert "unknown status 'passd'; did you mean 'passed'?" in scenario("runs", "--status", "passd").err
    monkeypatch.setattr(command.Command, "_called_from_command_line", True, raising=False)
    missing = scenario("delete", "nothing")  # without Django's prefix, and in colour only at a terminal
    nothing = "There is no scenario 'nothing'; "
    assert (missing.code, missing.err.startswith(nothing)) == (7, True), missing.err
    usage = scenario("runs", "--lim", "3")
    assert (usage.code, usage.err.endswith("--lim 3; did you mean '--limit'?\n")) == (2, True), usage.err


def test_faults_lists_all_or_outstanding_ones(scenario: CommandLine, ended: Run) -> None:
    nothing = scenario("faults", "--outstanding")
    assert (nothing.out, nothing.err) == ("", "Nothing is left injected.\n")  # so that a pipe gets nothing
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    (left,) = scenario("faults", "--outstanding", "--json").json["items"]
    assert (left["action"], left["run"], left["state"]) == (SLOWED, str(telling.run.id), "outstanding")
    assert len(scenario("faults", "--json").json["items"]) == 2
    assert "the exchange answered 503" in scenario("faults").out


def test_answers_of_targets_cannot_control_the_terminal(scenario: CommandLine) -> None:
    telling = Telling()
    telling.tell(
        "action_failed", SLOWED, reason="\x1b[2J\rgone\nPASSED in 1s, rollback clean: [bold]so[/bold]"
    )
    telling.finish()
    said = scenario("follow", telling.run.id).out
    assert "\\x1b[2J\\rgone\\nPASSED in 1s, rollback clean: [bold]so[/bold]" in said
    assert not set("\x1b\r") & set(said)


def test_file_run_belongs_to_a_scenario_with_the_same_document(scenario: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "any.yaml"
    file.write_text(DOCUMENT)
    started = scenario("run", file, "--detach", "--json").json
    assert Run.objects.get(id=started["id"]).scenario is None
    scenario("import", file)
    started = scenario("run", file, "--detach", "--json").json
    assert str(Run.objects.get(id=started["id"]).scenario) == "exchange-latency"
    file.write_text(DOCUMENT.replace("method: POST", "metod: POST", 1))
    said = scenario("run", file, "--json")
    assert (said.code, said.json["problems"][0]["hint"]) == (2, "did you mean 'method'?")


@pytest.mark.django_db(transaction=True)
def test_scenario_deleted_while_it_starts_is_refused(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    read = documents.read_document

    def read_and_remove(source: str) -> Document:
        Scenario.objects.filter(pk=stored.pk).delete()
        return read(source)

    monkeypatch.setattr(run_commands, "read_document", read_and_remove)
    said = scenario("run", "exchange-latency", "--detach")
    assert (said.code, "was deleted; no run was started" in said.err) == (2, True)
    assert not Run.objects.exists()


def test_unwritable_junit_file_is_refused_before_the_run(scenario: CommandLine, tmp_path: Path) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    for more in (
        ["--junit", tmp_path / "none" / "junit.xml"],
        ["--junit", tmp_path],
        ["--junit", tmp_path / "junit.xml", "--detach"],
    ):
        assert scenario("run", "exchange-latency", *more).code == 2
    assert not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_failed_report_does_not_hide_the_outcome(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    folder = tmp_path / "folder"
    folder.mkdir()

    def end_it_and_take_the_folder_away(run: Run) -> None:
        run_commands.request_stop(run, by="a test")
        folder.rmdir()

    monkeypatch.setattr(run_commands, "enqueue_run", end_it_and_take_the_folder_away)
    said = scenario("run", "exchange-latency", "--junit", folder / "junit.xml")
    assert (said.code, "ABORTED" in said.out) == (4, True)
    assert "No such file or directory." in said.err


def test_report_replaces_an_earlier_file(scenario: CommandLine, ended: Run, tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    file.write_text("an earlier one")
    assert scenario("report", ended.short_id, "--format", "junit", "-o", file).code == 0
    assert ET.parse(file).getroot().tag == "testsuites"  # noqa: S314 - our own report
    assert [path.name for path in tmp_path.iterdir()] == ["junit.xml"]
