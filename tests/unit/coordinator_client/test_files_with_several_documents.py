"""Which documents a file has: what YAML sees, and the text of each as it was written."""

from pathlib import Path

import pytest
import yaml

from coordinator_client.command_line import files
from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.files import Part, read_documents, split_documents

SEVERAL = {
    "lines between": (b"a: 1\n---\nb: 2\n", [b"a: 1\n", b"b: 2\n"]),
    "lines before each": (b"---\na: 1\n---\nb: 2", [b"a: 1\n", b"b: 2"]),
    "a comment on the line": (b"a: 1\n--- # the next\nb: 2\n", [b"a: 1\n", b"b: 2\n"]),
    "content on the line": (b"a: 1\n--- {b: 2}\n", [b"a: 1\n", b"--- {b: 2}\n"]),
    "ends of documents": (b"a: 1\n...\n---\nb: 2\n...\n", [b"a: 1\n...\n", b"b: 2\n...\n"]),
    "lines of Windows": (b"a: 1\r\n---\r\nb: 2\r\n", [b"a: 1\r\n", b"b: 2\r\n"]),
    "an indented line": (b"a: |\n  x\n  ---\n  y\n---\nb: 2\n", [b"a: |\n  x\n  ---\n  y\n", b"b: 2\n"]),
    "longer lines": (b"a: 1\n---\n---x: 1\n----: 2\n", [b"a: 1\n", b"---x: 1\n----: 2\n"]),
    "empty documents": (b"---\n# no\n---\n\n---\na: 1\n---\n---\nb: 2\n---\n", [b"a: 1\n", b"b: 2\n"]),
    "an empty document at the end": (b"a: 1\n---\n# no\n", [b"a: 1\n"]),
}


@pytest.mark.parametrize(("content", "expected"), SEVERAL.values(), ids=SEVERAL)
def test_documents_between_lines_are_those_of_yaml(content: bytes, expected: list[bytes]) -> None:
    parts = split_documents(content)
    assert [part.content for part in parts] == expected
    read = [found for found in yaml.safe_load_all(content) if found is not None]
    assert [yaml.safe_load(part.content) for part in parts] == read
    lines = content.splitlines(keepends=True)
    for part in parts:
        assert b"".join(lines[part.lines_before :]).startswith(part.content)


@pytest.mark.parametrize("content", [b"", b"---", b"a: 1\n", b"---\na: 1\n", b"# x\n%YAML 1.2\n---\na: 1\n"])
def test_one_document_is_left_as_it_is(content: bytes) -> None:
    assert [(part.content, part.lines_before) for part in split_documents(content)] == [(content, 0)]


def test_lines_without_documents_between_them_are_an_empty_document() -> None:
    assert split_documents(b"---\n---\n") == [Part(b"")]


def test_a_pipe_that_is_too_long_is_refused_instead_of_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_INPUT_BYTES", 16)
    monkeypatch.setattr(files, "read_content", lambda _file: b"a: 1\n---\nb: 2345\n"[:16])
    with pytest.raises(CommandRefused, match="give a folder of files instead"):
        read_documents(Path("-"))
    file = tmp_path / "x.yaml"
    file.touch()
    assert len(read_documents(file)) == 2
