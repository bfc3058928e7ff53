"""`scenario validate`, `run --dry-run`, and documents from standard input."""

import io
import socket
from pathlib import Path

import pytest

from scenarios.drivers import documents
from scenarios.library import scenarios as stored_scenarios
from scenarios.library import services as registered_services
from scenarios.models import Run, Scenario
from tests.command_line import CommandLine
from tests.integration.scenarios.story_rows import DOCUMENT

pytestmark = pytest.mark.django_db


def test_dry_run_shows_every_step_and_starts_nothing(scenario: CommandLine) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    words = ("run", "exchange-latency", "--var", "delay_ms=700", "--dry-run")
    assert "delay_ms: 700" in scenario(*words).out
    steps = scenario(*words, "--json").json["steps"]
    assert {step["role"] for step in steps} == {"guard", "do", "undo", "probe"}
    assert scenario("run", "exchange-latency", "--var", "delay_ms=9000", "--dry-run").code == 2
    assert not Run.objects.exists()


def test_dry_run_reads_variables_from_files_and_the_environment(
    scenario: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_scenarios.save_scenario(documents.read_document(DOCUMENT))
    (tmp_path / "site.yaml").write_text("delay_ms: 700\n")
    words = ("run", "exchange-latency", "--dry-run")
    assert "delay_ms: 700" in scenario(*words, "--vars-file", tmp_path / "site.yaml").out
    monkeypatch.setenv("delay_ms", "800")
    assert "delay_ms: 800" in scenario(*words, "--vars-file", tmp_path / "site.yaml", "--var", "delay_ms").out
    (tmp_path / "site.yaml").write_text("delay_ms: [700]\n")
    assert scenario(*words, "--vars-file", tmp_path / "site.yaml").code == 2


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
def test_validate_live_checks_a_document_with_its_variables(scenario: CommandLine, tmp_path: Path) -> None:
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


def test_validate_live_accepts_a_port_that_should_be_closed(scenario: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "closed.yaml"
    file.write_text(CLOSED)
    assert scenario("validate", "--live", file).code == 0


@pytest.mark.usefixtures("away")
def test_dry_run_shows_what_a_run_would_meet(scenario: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "touching-two.yaml"
    file.write_text(TOUCHING_TWO)
    told = scenario("run", file, "--var", "observed=gone", "--dry-run")
    assert "A run would end as errored: unknown service 'gone'" in told.out
    assert "Unreachable now: away at" in told.out
    assert told.code == 2


def test_document_is_read_from_standard_input(scenario: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_validate_json_has_file_and_place_of_each_problem(scenario: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(DOCUMENT)
    (tmp_path / "wrong.yaml").write_text(DOCUMENT.replace("method: POST", "metod: POST", 1))
    said = scenario("validate", tmp_path, "--json")
    assert said.code == 2
    assert [item["name"] for item in said.json["valid"]] == ["exchange-latency"]
    (problem,) = said.json["problems"]
    assert problem["file"].endswith("wrong.yaml")
    assert problem["line"] > 1


def test_last_line_counts_the_documents(scenario: CommandLine, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(DOCUMENT.replace("exchange-latency", name))
    assert scenario("validate", tmp_path).out.splitlines()[-1] == "All 2 documents are valid."
    (tmp_path / "three.yaml").write_text("kind: Scenario\n")
    refused = scenario("validate", tmp_path)
    assert (refused.code, refused.out.splitlines()[-1]) == (2, "1 of 3 documents is invalid.")
    assert scenario("validate", tmp_path / "one.yaml").out == f"{tmp_path / 'one.yaml'}: valid\n"
    assert "problems" in scenario("validate", tmp_path, "--json").json
