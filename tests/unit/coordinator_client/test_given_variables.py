"""Variables from files (`--vars-file`) and from the environment (`--var NAME`)."""

from pathlib import Path

import pytest

from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.given_variables import read_variables
from coordinator_client.errors import InvalidVariablesError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    written = tmp_path / "staging.yaml"
    written.write_text('service: shop\ndelay_ms: 500\nrate: 0.5\nthorough: true\ncode: "007"\n')
    return written


def test_a_file_has_names_and_values(file: Path) -> None:
    expected = {"service": "shop", "delay_ms": "500", "rate": "0.5", "thorough": "true", "code": "007"}
    assert read_variables([], [file]) == expected


def test_a_json_file_is_read_too_and_a_later_file_takes_precedence(file: Path, tmp_path: Path) -> None:
    more = tmp_path / "more.json"
    more.write_text('{"delay_ms": 700}')
    assert read_variables([], [file, more])["delay_ms"] == "700"


def test_a_word_takes_precedence_over_a_file(file: Path) -> None:
    assert read_variables(["service=stock"], [file])["service"] == "stock"


def test_a_name_without_value_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DELAY_MS", "a=b c")
    assert read_variables(["DELAY_MS", "x="], []) == {"DELAY_MS": "a=b c", "x": ""}


def test_a_name_given_twice_has_one_value() -> None:
    assert read_variables(["a=1", "a=1"], []) == {"a": "1"}
    with pytest.raises(InvalidVariablesError, match="'a' is given two values with '--var'; give it one"):
        read_variables(["a=1", "a=2"], [])


def test_a_name_that_the_environment_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DELAY_MS", raising=False)
    with pytest.raises(
        InvalidVariablesError, match="'DELAY_MS' has no value: write it as 'DELAY_MS=VALUE', or set"
    ):
        read_variables(["DELAY_MS"], [])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[a]", "line 1, column 1: .* is not a mapping of names to values"),
        ("a: 1\nb: [[1]]\n", "line 2, column 4: .* is not a value for 'b'"),
        ("a: null\n", "line 1, column 4: null is not a value for 'a'"),
        ("a: 1\na: 2\n", "line 2, column 1: "),
        ("a: {", "line 1, column "),
        ("a: !!python/object:os.system x\n", "line 1, column 4"),
    ],
)
def test_a_file_that_is_not_valid_is_refused_at_its_place(tmp_path: Path, text: str, message: str) -> None:
    written = tmp_path / "wrong.yaml"
    written.write_text(text)
    with pytest.raises(InvalidVariablesError, match=rf"wrong\.yaml: {message}"):
        read_variables([], [written])


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CommandRefused, match="Cannot read"):
        read_variables([], [tmp_path / "missing.yaml"])


def test_a_list_of_a_file_is_sent_as_json(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("hosts: [a, 'b,c', 80, 0.5, '7', 007]\n")
    assert read_variables([], [file]) == {"hosts": '["a", "b,c", 80, 0.5, "7", "007"]'}
