"""docs/tutorial.md tells the truth: it is gone through from its beginning to its end."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.exposition import samples
from tests.servers.coordinator import PROJECT, Coordinator, command, read_until
from tests.servers.documented import Page, run
from tests.servers.loopback import free_port, is_listening, wait_for

PAGE = Page(PROJECT / "docs" / "tutorial.md")
PRINTED, MEASURED = PAGE.blocks("text")
# Exit codes stand beside the commands that do not end with 0.
FAILING = re.findall(r"^(python3 .+?) +# ends with (\d)$", PAGE.path.read_text(), re.MULTILINE)


class Reader:
    """Somebody who types what the page says, with another folder and other ports."""

    def __init__(self, folder: Path) -> None:
        self.installed = Coordinator(folder / "data")
        self.shop = folder / "shop"
        self.port = free_port()
        self.here = {"../shop": str(self.shop), "9000": str(self.port), "8080": str(self.installed.port)}
        self.outputs: dict[str, tuple[int, str]] = {}

    def go_through(self) -> None:
        for line in PAGE.commands():
            self.outputs[line] = run(self.installed, line, **self.here)

    def find_output(self, words: str) -> str:
        return next(printed for line, (_code, printed) in self.outputs.items() if words in line)

    @contextmanager
    def serving_shop(self) -> Iterator[None]:
        self.shop.mkdir()
        PAGE.save_files(self.shop)
        arguments = [sys.executable, str(self.shop / "shop.py"), str(self.port)]
        with subprocess.Popen(arguments, stderr=subprocess.DEVNULL) as process:
            try:
                wait_for(lambda: is_listening(self.port), what="the shop listens")
                yield
            finally:
                process.terminate()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    reader = Reader(tmp_path_factory.mktemp("tutorial"))
    installed = reader.installed
    installed.migrate()
    with reader.serving_shop(), command(installed.data, "up", **installed.environment) as process:
        read_until(process.stdout, "Serving")
        reader.go_through()
        yield reader


def without_durations(text: str) -> list[str]:
    return [re.sub(r"( after| in) [\d.]+m?s", "", line).rstrip() for line in text.strip().splitlines()]


def test_each_command_ends_as_the_page_says(reader: Reader) -> None:
    expected = dict.fromkeys(PAGE.commands(), 0) | {line: int(code) for line, code in FAILING}
    assert len(FAILING) == 1
    assert {line: code for line, (code, _) in reader.outputs.items()} == expected, reader.outputs


def test_the_run_prints_what_the_page_shows(reader: Reader) -> None:
    printed = without_durations(reader.find_output("run ../shop/shop-slow.yaml"))
    shown = without_durations(PRINTED)
    assert [line for line in printed if line in shown] == shown


def test_the_slow_shop_fails_the_run_and_is_quick_again(reader: Reader) -> None:
    printed = reader.find_output("--var delay=2")
    assert "FAILED" in printed
    assert "rollback clean" in printed
    asked = "curl --silent --fail --max-time 1 http://127.0.0.1:9000/price"
    assert run(reader.installed, asked, **reader.here)[0] == 0


def test_the_metrics_are_what_the_page_shows(reader: Reader) -> None:
    served = samples(reader.find_output("curl"))
    for name, series in samples(MEASURED).items():
        for labels, value in series.items():
            assert served[name][labels] == value


def test_every_page_that_the_tutorial_names_is_there() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE.path.read_text())
    assert len(links) == 2
    assert all((PROJECT / "docs" / link).exists() for link in links)
