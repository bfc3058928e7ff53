"""docs/tutorial.md tells the truth: it is gone through from its beginning to its end."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.exposition import samples
from tests.servers.coordinator import PROJECT, Coordinator, command, read_until
from tests.servers.documented import Page, run, with_values
from tests.servers.loopback import free_port, is_listening, wait_for

PAGE = Page(PROJECT / "docs" / "tutorial.md")
SLOW, HANGING, MEASURED = PAGE.blocks("text")
# Exit codes stand beside the commands that do not end with 0.
FAILING = re.findall(r"^(python3 .+?) +# ends with (\d)$", PAGE.path.read_text(), re.MULTILINE)
# What is left running, each in a terminal of its own; the first is `manage.py up`.
UP, *SERVING = "".join(PAGE.blocks("console")).splitlines()
DOCUMENTED_PORTS = {"stock": "9001", "proxy": "9002", "shop": "9000", "control": "8475"}


class Reader:
    """A person who types what the page says, with another folder and other ports."""

    def __init__(self, folder: Path) -> None:
        self.installed = Coordinator(folder / "data")
        self.shop = folder / "shop"
        self.ports = {documented: free_port() for documented in DOCUMENTED_PORTS.values()}
        others = {documented: str(port) for documented, port in self.ports.items()}
        self.here = {"8080": str(self.installed.port), **others, "../shop": str(self.shop)}
        self.outputs: dict[str, tuple[int, str]] = {}

    def go_through(self) -> None:
        for line in PAGE.commands():
            self.outputs[line] = run(self.installed, line, **self.here)

    def find_output(self, words: str) -> str:
        return next(printed for line, (_code, printed) in self.outputs.items() if words in line)

    @contextmanager
    def serving(self) -> Iterator[None]:
        self.shop.mkdir()
        PAGE.save_files(self.shop)
        with ExitStack() as stack:
            for line in SERVING:
                words = shlex.split(with_values(line, self.here))
                words[0] = sys.executable
                process = subprocess.Popen(
                    words, cwd=PROJECT, env=self.installed.environment, stderr=subprocess.DEVNULL
                )
                stack.callback(process.wait)
                stack.callback(process.terminate)
            for port in self.ports.values():
                wait_for(lambda port=port: is_listening(port), what=f"{port} is served")  # type: ignore[misc]
            yield


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("tutorial"))
    installed = reader.installed
    with command(installed.data, "up", **installed.environment) as process:
        read_until(process.stdout, "Serving")
        with reader.serving():
            reader.go_through()
            yield reader


def without_durations(text: str) -> list[str]:
    return [re.sub(r"( after| in) [\d.]+m?s", "", line).rstrip() for line in text.strip().splitlines()]


def test_each_command_ends_as_the_page_says(reader: Reader) -> None:
    expected = dict.fromkeys(PAGE.commands(), 0) | {line: int(code) for line, code in FAILING}
    assert len(FAILING) == 1
    assert {line: code for line, (code, _) in reader.outputs.items()} == expected, reader.outputs


@pytest.mark.parametrize(("words", "shown"), [("run dependency-slow", SLOW), ("within=3s", HANGING)])
def test_a_run_prints_what_the_page_shows(reader: Reader, words: str, shown: str) -> None:
    printed = without_durations(reader.find_output(words))
    for line in without_durations(shown):
        assert any(is_as_shown(found, line) for found in printed), (line, printed)


def is_as_shown(printed: str, shown: str) -> bool:
    return printed.startswith(shown[:-1]) if shown.endswith("…") else printed == shown


def test_the_hanging_stock_fails_the_shop_and_the_careful_page_survives_it(reader: Reader) -> None:
    failed = reader.find_output("within=3s")
    assert "FAILED" in failed
    assert "rollback clean" in failed
    assert "PASSED" in reader.find_output("path=/careful")


def test_the_metrics_are_what_the_page_shows(reader: Reader) -> None:
    served = samples(reader.find_output("curl"))
    for name, series in samples(MEASURED).items():
        for labels, value in series.items():
            assert served[name][labels] == value


def test_the_list_has_the_scenarios_that_the_page_names(reader: Reader) -> None:
    named = set(
        re.findall(r"`((?:dependency|postgresql|redis|process|disk)-[a-z-]+[a-z])`", PAGE.path.read_text())
    )
    assert len(named) > 5
    assert all(name in reader.find_output("scenario list") for name in named)


def test_every_page_that_the_tutorial_names_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE.path.read_text())
    assert len(links) >= 4
    assert all((PROJECT / "docs" / link).exists() for link in links)
