"""README tells the truth: its commands are run, and what it shows is what they print."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exposition import samples
from tests.servers.coordinator import PROJECT, Coordinator, command, read_until

README = (PROJECT / "README.md").read_text()
DOCUMENTED_PORT = "8080"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[str]:
    lines = "".join(blocks("sh")).splitlines()
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def without_durations(text: str) -> list[str]:
    """The lines, durations as N, and whether a time is worth telling left open."""
    return [re.sub(r"( after| in) [\d.]+m?s", "", line).rstrip() for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Coordinator, str]]:
    """What `manage.py up` serves, and what it printed by then."""
    installed = Coordinator(tmp_path_factory.mktemp("readme"))
    with command(installed.data, "up", **installed.environment) as process:
        yield installed, read_until(process.stdout, "Serving")


def test_the_two_commands_are_in_the_first_screen_and_ci_runs_the_second() -> None:
    up, test, *_ = commands()
    assert (up, test) == ("python3 manage.py up", "python3 manage.py test")
    assert README.index(test) < README.index("\n", 1500)
    assert (PROJECT / ".ci" / "run").read_text().strip().endswith(f"\n{test}")


def test_up_prints_what_readme_shows(running: tuple[Coordinator, str]) -> None:
    _, printed = running
    shown = next(block for block in blocks("text") if "PASSED" in block)
    begun = printed[printed.index(shown.splitlines()[0]) :]
    assert without_durations(begun)[: len(without_durations(shown))] == without_durations(shown)


def test_metrics_has_the_lines_that_readme_shows(running: tuple[Coordinator, str]) -> None:
    installed, _ = running
    served = samples(run(installed, f"curl --silent http://127.0.0.1:{DOCUMENTED_PORT}/metrics"))
    shown = samples(next(block for block in blocks("text") if "scenario_chaos_events_total{" in block))
    assert len(shown) == 3
    for name, series in shown.items():
        assert series.keys() <= served[name].keys()


@pytest.mark.parametrize("line", commands()[2:])
def test_each_command_works(running: tuple[Coordinator, str], line: str) -> None:
    run(running[0], line)


def run(installed: Coordinator, line: str) -> str:
    words = shlex.split(line.replace(DOCUMENTED_PORT, str(installed.port)))
    if words[0] == "python3":
        words[0] = sys.executable
    done = subprocess.run(
        words,
        cwd=PROJECT,
        env=installed.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_every_file_that_readme_names_is_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert all((PROJECT / link).exists() for link in links)
    assert Path(PROJECT / "benchmarks").is_dir()
