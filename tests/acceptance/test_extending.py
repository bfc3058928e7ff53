"""docs/extending.md tells the truth: its driver and its adapter are taken from the page and run."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.coordinator import PROJECT, Coordinator, coordinator
from tests.servers.documented import Page, run

PAGE = Page(PROJECT / "docs" / "extending.md")


@pytest.fixture
def statsd() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(20)
        yield server


@pytest.fixture
def site(tmp_path: Path, statsd: socket.socket) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    PAGE.save_files(folder, **{"8125": str(statsd.getsockname()[1])})
    return folder


@pytest.fixture
def extended(tmp_path: Path, site: Path) -> Iterator[Coordinator]:
    with coordinator(
        tmp_path,
        PYTHONPATH=str(site),
        DJANGO_SETTINGS_MODULE="site_settings",
        METRICS_BACKEND="site_statsd.WithStatsd",
    ) as installed:
        installed.set_up()
        installed.start_worker()
        yield installed


def test_a_scenario_with_the_sites_own_driver_passes_and_statsd_hears_of_it(
    extended: Coordinator, site: Path, statsd: socket.socket
) -> None:
    for line in PAGE.commands():
        code, printed = run(extended, line, **{"../site": str(site)})
        assert code == 0, printed
    assert "PASSED" in printed
    heard = set()
    while (
        sample := statsd.recv(1000).decode()
    ) != "scenario_runs_total:1|c|#outcome:passed,scenario:orders-off":
        heard.add(sample)
    injected = "scenario_chaos_events_total:1|c|#driver:flag,event:injected,scenario:orders-off"
    assert {injected, injected.replace("injected", "undone")} <= heard


def test_the_sites_own_driver_has_its_arguments_checked_with_line_and_column(
    extended: Coordinator, site: Path
) -> None:
    document = site / "orders-off.yaml"
    document.write_text(document.read_text().replace("name: orders-off, present: false", "name: Orders"))
    code, printed = run(extended, f"python3 manage.py scenario validate {document}")
    assert code == 2
    assert "orders-off.yaml:13:31" in printed
    assert "'Orders'" in printed


def test_the_driver_is_as_short_as_the_page_says() -> None:
    driver = next(block for block in PAGE.blocks("python") if "class Flag:" in block)
    code = [line for line in driver.splitlines() if line and not line.startswith(("from", "import", "#"))]
    assert len(code) <= 30


def test_every_file_that_the_page_names_is_there() -> None:
    for name in ("scenarios/drivers/tcp.py", "tests/unit/metrics_app/conftest.py"):
        assert (PROJECT / name).exists()
        assert name in PAGE.path.read_text()
