"""Several documents in one file or stream: stored or refused together, each named by its place."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from scenarios.models import Scenario, Suite
from tests.command_line import CommandLine
from tests.integration.scenarios.story_rows import DOCUMENT
from tests.integration.scenarios.suites.suite_rows import TWO_CELLS, register_services

pytestmark = pytest.mark.django_db
OTHER = DOCUMENT.replace("name: exchange-latency", "name: other", 1)
WRONG = OTHER.replace("method: POST", "metod: POST", 1)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard input with two documents."""
    content = io.BytesIO(f"{DOCUMENT}---\n{OTHER}".encode())
    stdin = SimpleNamespace(buffer=content, isatty=lambda: False)
    monkeypatch.setattr(sys, "stdin", stdin)


def stored() -> dict[str, str]:
    return dict(Scenario.objects.values_list("name", "document"))


def test_all_documents_of_a_stream_are_stored(either: CommandLine, pipe: None) -> None:
    said = either("import", "-")
    assert said.code == 0, said.err
    assert "other: stored (-, document 2)" in said.out
    assert stored() == {"exchange-latency": DOCUMENT, "other": OTHER}


def test_documents_of_a_stream_are_validated_and_counted(either: CommandLine, pipe: None) -> None:
    said = either("validate", "-")
    assert said.out == "-, document 1: valid\n-, document 2: valid\nAll 2 documents are valid.\n"
    assert stored() == {}


def test_a_wrong_document_is_named_by_number_and_line_and_nothing_is_stored(
    either: CommandLine, tmp_path: Path
) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"{DOCUMENT}---\n{WRONG}")
    line = 1 + file.read_text()[: file.read_text().index("metod")].count("\n")
    said = either("import", file)
    assert said.code == 2
    assert f"{file}:{line}:" in said.out
    assert ": document 2: " in said.out
    assert said.out.endswith("Nothing was stored.\n")
    (problem,) = either("validate", file, "--json").json["problems"]
    assert (problem["line"], problem["document"]) == (line, 2)
    assert either("validate", file, "--json").json["valid"] == [
        {"file": str(file), "document": 1, "name": "exchange-latency"}
    ]
    assert "1 of 2 documents is invalid." in either("validate", file).out
    assert stored() == {}


def test_two_documents_with_one_name_are_refused_at_the_second(either: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "all.yaml"
    file.write_text(f"{DOCUMENT}---\n{DOCUMENT}")
    said = either("import", file)
    assert said.code == 2
    place = DOCUMENT.count("\n") + 2
    assert (
        f"{file}:{place}:1: document 2: '{file}, document 1' has the name 'exchange-latency', too" in said.out
    )
    assert stored() == {}


def test_files_that_are_put_together_are_the_same_documents(either: CommandLine, tmp_path: Path) -> None:
    register_services()
    files = [tmp_path / name for name in ("a.yaml", "b.yaml", "shop.yaml")]
    for file, document in zip(files, (DOCUMENT, OTHER, TWO_CELLS), strict=True):
        file.write_text(document)
    assert either("import", *files).code == 0
    together = tmp_path / "folder" / "all.yaml"
    together.parent.mkdir()
    together.write_text("---\n".join(file.read_text() for file in files))
    said = either("import", together.parent, "--check", "--prune")
    assert (said.code, said.out.count(": unchanged (")) == (0, 3), said.out
    assert Suite.objects.count() == 1


def test_the_name_of_an_experiment_is_for_one_document(either: CommandLine, pipe: None) -> None:
    said = either("import", "-", "--name", "mine")
    assert (said.code, "'--name' works with one document only" in said.err) == (2, True)
    assert stored() == {}


def test_all_scenarios_and_suites_are_exported_as_one_stream_that_import_reads(
    either: CommandLine, tmp_path: Path
) -> None:
    register_services()
    files = [tmp_path / name for name in ("a.yaml", "shop.yaml")]
    for file, document in zip(files, (DOCUMENT, TWO_CELLS), strict=True):
        file.write_text(document)
    assert either("import", *files).code == 0
    stream = tmp_path / "stream.yaml"
    stream.write_text(either("export", "--all", "-").out)
    assert either("validate", stream).out.endswith("All 2 documents are valid.\n")
    assert either("import", "--check", stream).code == 0
    assert either("export", "--all", "-", "--json").json["documents"] == [DOCUMENT, TWO_CELLS]


def test_a_dash_is_standard_output_and_no_file_of_this_name(either: CommandLine, tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(DOCUMENT)
    either("import", file)
    assert either("export", "exchange-latency", "-o", "-").out == DOCUMENT
    assert not Path("-").exists()
    refused = either("run", "exchange-latency", "--junit", "-")
    assert "standard output shows the progress; name a file" in refused.err
