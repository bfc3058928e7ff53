"""The program hands commands of the server to it, where that is installed."""

import importlib.metadata
from collections.abc import Sequence

import pytest
from django.core.management import get_commands

from coordinator_client.command_line import server_commands
from coordinator_client.command_line.program import build_parser


class Found:
    def __init__(self, called: list[Sequence[str]]) -> None:
        self._called = called

    def load(self) -> object:
        return self._called.append


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    words: list[Sequence[str]] = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_group: [Found(words)])
    return words


def test_an_unknown_word_goes_to_the_server(called: list[Sequence[str]]) -> None:
    server_commands.hand_over(["up", "--once"], {"run", "list"})
    assert called == [["up", "--once"]]


@pytest.mark.parametrize("words", [[], ["run", "up"], ["--server", "http://a", "list"]])
def test_everything_else_stays_with_the_client(called: list[Sequence[str]], words: list[str]) -> None:
    server_commands.hand_over(words, {"run", "list"})
    assert called == []


def test_help_names_the_server_only_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, called: list[Sequence[str]]
) -> None:
    assert server_commands.find_hint(["--help"]) == server_commands.HINT
    assert server_commands.find_hint(["list", "--help"]) == ""
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_group: [])
    assert server_commands.find_hint(["--help"]) == ""


def test_no_verb_of_the_client_is_a_command_of_the_server() -> None:
    assert not set(build_parser()[1]) & set(get_commands())
