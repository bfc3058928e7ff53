"""What the verbs of `scenario` say of runs and faults, to a person and to a program."""

import io
import json
import socket
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.drivers import documents
from scenarios.language.document import Document
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Run, Scenario
from scenarios.runs import commands as run_commands
from scenarios.runs import lifecycle
from tests.command_line import CommandLine
from tests.integration.scenarios.story_rows import DOCUMENT, SLOWED, Telling

pytestmark = pytest.mark.django_db


@pytest.fixture
def scenario(capsys: pytest.CaptureFixture[str]) -> CommandLine:
    return CommandLine(capsys)


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
def test_the_exit_code_is_the_outcome_and_never_0_with_a_dirty_rollback(
    scenario: CommandLine, outcome: Outcome, code: int, rollback: Rollback
) -> None:
    telling = Telling()
    verdict = Verdict(outcome, "it is over", rollback)
    lifecycle.finish_run(telling.claim, verdict, telling.run.queued_at)
    expected = 3 if (outcome, rollback) == (Outcome.PASSED, Rollback.DIRTY) else code
    assert scenario("follow", telling.run.id).code == expected


def test_follow_shows_the_log_of_an_ended_run_and_goes_on_after_a_number(
    scenario: CommandLine, ended: Run
) -> None:
    whole = scenario("follow", ended.short_id).out.splitlines()
    assert whole[-1].startswith("PASSED")
    assert len(whole) == ended.last_event + 1
    assert [int(line.split()[0]) for line in whole[:-1]] == list(range(1, ended.last_event + 1))
    rest = scenario("follow", ended.short_id, "--after", 4).out.splitlines()
    assert rest == whole[4:]


def test_follow_as_json_is_an_event_on_each_line(scenario: CommandLine, ended: Run) -> None:
    events = [json.loads(line) for line in scenario("follow", ended.id, "--json").out.splitlines()]
    assert [event["sequence"] for event in events] == list(range(1, ended.last_event + 1))
    assert {"kind", "at", "phase", "step", "data"} <= events[0].keys()


def test_runs_are_filtered_by_scenario_and_status_and_limited(scenario: CommandLine, ended: Run) -> None:
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


def test_a_run_is_named_by_any_unique_beginning_of_its_id(scenario: CommandLine, ended: Run) -> None:
    for length in (8, 10, 23, 36):
        assert scenario("report", str(ended.id)[:length], "--format", "md").code == 0
    twin = Run.objects.get(pk=ended.pk)
    twin.pk = type(ended.pk)(int=ended.pk.int ^ 1)
    twin.save(force_insert=True)
    assert "There are 2 runs whose id begins with" in scenario("report", ended.short_id).err
    for wrong in ("", "zz", "0" * 40):
        assert scenario("follow", wrong).code == 2


def test_a_misspelt_name_is_answered_with_the_one_that_was_meant(scenario: CommandLine, ended: Run) -> None:
    for words in (("run", "exchange-latancy"), ("show", "exchange-latancy"), ("export", "exchange-latancy")):
        said = scenario(*words)
        assert (said.code, "did you mean 'exchange-latency'?" in said.err) == (2, True)


def test_show_prints_a_scenario_its_last_runs_and_its_document(scenario: CommandLine, ended: Run) -> None:
    said = scenario("show", "exchange-latency")
    assert f"Run {ended.short_id}" in said.out
    assert said.out.endswith(DOCUMENT)
    shown = scenario("show", "exchange-latency", "--json").json
    assert shown["document"] == DOCUMENT
    assert shown["runs"][0]["status"] == "passed"
    assert [one["last_run"] for one in scenario("list", "--json").json["items"]] == ["passed"]


def test_faults_lists_all_or_the_outstanding_ones(scenario: CommandLine, ended: Run) -> None:
    assert scenario("faults", "--outstanding").out == "Nothing is left injected.\n"
    telling = Telling()
    telling.begin()
    telling.finish(Rollback.DIRTY)
    (left,) = scenario("faults", "--outstanding", "--json").json["items"]
    assert (left["action"], left["run"], left["state"]) == (SLOWED, str(telling.run.id), "outstanding")
    assert len(scenario("faults", "--json").json["items"]) == 2
    assert "the exchange answered 503" in scenario("faults").out


def test_what_a_target_answered_cannot_steer_the_terminal_nor_make_up_a_line(scenario: CommandLine) -> None:
    telling = Telling()
    telling.tell(
        "action_failed", SLOWED, reason="\x1b[2J\rgone\nPASSED in 1s, rollback clean: [bold]so[/bold]"
    )
    telling.finish()
    said = scenario("follow", telling.run.id).out
    assert "\\x1b[2J\\rgone\\nPASSED in 1s, rollback clean: [bold]so[/bold]" in said
    assert not set("\x1b\r") & set(said)


def test_a_dry_run_shows_every_step_with_its_variables_and_starts_nothing(scenario: CommandLine) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    words = ("run", "exchange-latency", "--var", "delay_ms=700", "--dry-run")
    assert "delay_ms: 700" in scenario(*words).out
    steps = scenario(*words, "--json").json["steps"]
    assert {step["role"] for step in steps} == {"guard", "do", "undo", "probe"}
    assert scenario("run", "exchange-latency", "--var", "delay_ms=9000", "--dry-run").code == 2
    assert not Run.objects.exists()


TOUCHING_TWO = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: touching-two}
spec:
  variables: {observed: {type: string}}
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {http: {service: away, method: POST, path: /fault}}
          undo: {http: {service: away, method: DELETE, path: /fault}}
      validations:
        - {name: look, probe: {http: {service: "${observed}", path: /health}}, expect: {status: 200}}
"""


@pytest.fixture
def away() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    registered_services.register_service("away", f"http://127.0.0.1:{port}")


@pytest.mark.usefixtures("away")
def test_a_document_is_looked_at_live_with_its_variables(scenario: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "touching-two.yaml"
    file.write_text(TOUCHING_TWO)
    assert scenario("validate", file).code == 0
    missing = scenario("validate", "--live", file)
    assert (missing.code, "observed" in missing.out) == (2, True)
    unknown = scenario("validate", "--live", file, "--var", "observed=gone")
    assert (unknown.code, "unknown service 'gone'" in unknown.out) == (2, True)
    told = scenario("validate", "--live", file, "--var", "observed=gone", "--json").json["valid"][0]
    assert "validation 'look' of phase 'chaos'" in told["refusals"][0]
    assert "away at" in told["unreachable"][0]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for name in ("away", "observed"):
            registered_services.register_service(name, address)
        assert scenario("validate", "--live", file, "--var", "observed=observed").code == 0


CLOSED = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: closed}
spec:
  phases:
    - name: chaos
      validations:
        - {name: shut, probe: {tcp: {host: 127.0.0.1, port: 1}}, expect: {connected: false}}
"""


def test_a_port_that_is_to_be_closed_is_no_reason_against_a_run(
    scenario: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "closed.yaml"
    file.write_text(CLOSED)
    assert scenario("validate", "--live", file).code == 0


@pytest.mark.usefixtures("away")
def test_a_dry_run_says_what_the_run_would_meet(scenario: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "touching-two.yaml"
    file.write_text(TOUCHING_TWO)
    told = scenario("run", file, "--var", "observed=gone", "--dry-run")
    assert "A run would end as errored: unknown service 'gone'" in told.out
    assert "Unreachable now: away at" in told.out
    assert told.code == 0


def test_a_document_is_read_from_standard_input(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(text: str) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    given(DOCUMENT)
    assert scenario("validate", "-").code == 0
    given(DOCUMENT.replace("metadata:", "metdata:"))
    refused = scenario("import", "-")
    assert (refused.code, "-:" in refused.out) == (2, True)
    given(DOCUMENT)
    assert scenario("import", "-").code == 0
    assert Scenario.objects.get().document == DOCUMENT
    given(DOCUMENT)
    assert "Nothing was started" in scenario("run", "-", "--dry-run").out
    given("x" * 5_000_000)
    assert scenario("validate", "-").code == 2


def test_a_file_is_run_without_being_stored_and_counts_for_a_scenario_of_the_same_text(
    scenario: CommandLine, tmp_path: Path
) -> None:
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
def test_a_scenario_that_is_removed_while_it_is_started_is_a_sentence(
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


def test_validate_as_json_names_the_file_and_the_place_of_each_problem(
    scenario: CommandLine, tmp_path: Path
) -> None:
    (tmp_path / "good.yaml").write_text(DOCUMENT)
    (tmp_path / "wrong.yaml").write_text(DOCUMENT.replace("method: POST", "metod: POST", 1))
    said = scenario("validate", tmp_path, "--json")
    assert said.code == 2
    assert [one["name"] for one in said.json["valid"]] == ["exchange-latency"]
    (problem,) = said.json["problems"]
    assert problem["file"].endswith("wrong.yaml")
    assert problem["line"] > 1


def test_junit_is_refused_before_the_run_where_it_cannot_be_written_or_tells_nothing(
    scenario: CommandLine, tmp_path: Path
) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    for more in (
        ["--junit", tmp_path / "none" / "junit.xml"],
        ["--junit", tmp_path],
        ["--junit", tmp_path / "junit.xml", "--detach"],
    ):
        assert scenario("run", "exchange-latency", *more).code == 2
    assert not Run.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_report_that_cannot_be_written_in_the_end_does_not_hide_how_the_run_ended(
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


def test_a_report_is_written_whole_in_place_of_an_earlier_one(
    scenario: CommandLine, ended: Run, tmp_path: Path
) -> None:
    file = tmp_path / "junit.xml"
    file.write_text("an earlier one")
    assert scenario("report", ended.short_id, "--format", "junit", "-o", file).code == 0
    assert ET.parse(file).getroot().tag == "testsuites"  # noqa: S314 - our own report
    assert [one.name for one in tmp_path.iterdir()] == ["junit.xml"]
