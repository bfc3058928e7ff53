"""README tells the truth: its commands are run, and what it shows is what they print."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.exposition import samples
from tests.servers.coordinator import PROJECT, Coordinator, command, read_until
from tests.servers.documented import Page, run

pytestmark = pytest.mark.slow

PAGE = Page(PROJECT / "README.md")
README = PAGE.path.read_text()
DOCUMENTED_PORT = "8080"


def split_phases(text: str) -> list[list[str]]:
    """The lines of each phase, sorted and without durations: what goes on side by side has no order."""
    lines = [re.sub(r"( after| in) [\d.]+m?s", "", line).rstrip() for line in text.strip().splitlines()]
    phases: list[list[str]] = []
    for line in lines:
        if line.startswith(" "):
            phases[-1].append(line)
        else:
            phases.append([line])
    return [sorted(phase) for phase in phases]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Coordinator, str]]:
    """What `manage.py up` serves, and what it printed by then."""
    installed = Coordinator(tmp_path_factory.mktemp("readme"))
    installed.migrate()
    with command(installed.data, "up", **installed.environment) as process:
        yield installed, read_until(process.stdout, "Serving")


def test_the_two_commands_are_in_the_first_screen_and_ci_runs_the_second() -> None:
    up, test, *_ = PAGE.commands()
    assert (up, test) == ("python3 manage.py up", "python3 manage.py test")
    assert README.index(test) < README.index("\n", 1500)
    assert (PROJECT / ".ci" / "run").read_text().strip().endswith(f"\n{test}")


def test_up_prints_what_readme_shows(running: tuple[Coordinator, str]) -> None:
    _, printed = running
    shown = next(block for block in PAGE.blocks("text") if "PASSED" in block)
    begun = printed[printed.index(shown.splitlines()[0]) :]
    assert split_phases(begun)[: len(split_phases(shown))] == split_phases(shown)


def test_metrics_has_the_lines_that_readme_shows(running: tuple[Coordinator, str]) -> None:
    installed, _ = running
    served = samples(run_command(installed, f"curl --silent http://127.0.0.1:{DOCUMENTED_PORT}/metrics"))
    shown = samples(next(block for block in PAGE.blocks("text") if "scenario_chaos_events_total{" in block))
    assert len(shown) == 3
    for name, series in shown.items():
        assert series.keys() <= served[name].keys()


@pytest.mark.parametrize("line", PAGE.commands()[2:])
def test_each_command_works(running: tuple[Coordinator, str], line: str) -> None:
    run_command(running[0], line)


def run_command(installed: Coordinator, line: str) -> str:
    code, printed = run(installed, line, **{DOCUMENTED_PORT: str(installed.port)})
    assert code == 0, printed
    return printed


def test_every_file_that_readme_names_is_there() -> None:
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert links
    assert all((PROJECT / link).exists() for link in links)
    assert Path(PROJECT / "benchmarks").is_dir()
