"""The units and drop-ins of systemd in deploy/: they are valid, and little exposed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers.coordinator import PROJECT
from tests.servers.manifests import DEPLOY, UNITS

TOOLS = Path(sys.executable).parent
# Of 10; a service that says nothing has 9.6.
MAX_EXPOSURE = 2.0
DROP_INS = sorted((DEPLOY / "systemd" / "drop-ins").glob("*.conf"))


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, for a place that exists on this machine."""
    placed = []
    for unit in UNITS:
        text = unit.read_text().replace("/opt/test-coordinator/.venv/bin", str(TOOLS))
        path = tmp_path / unit.name
        path.write_text(text.replace("/opt/test-coordinator", str(PROJECT)))
        placed.append(path)
    return placed


@pytest.mark.systemd
def test_systemd_finds_nothing_wrong_with_the_units(units: list[Path]) -> None:
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stderr) == (0, "")


@pytest.mark.systemd
def test_systemd_counts_the_units_among_the_little_exposed(units: list[Path]) -> None:
    for unit in units:
        assert read_exposure(unit) <= MAX_EXPOSURE


def read_exposure(unit: Path) -> float:
    found = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    exposure = re.search(r"Overall exposure level for \S+: ([\d.]+)", found.stdout)
    assert exposure, found.stdout + found.stderr
    return float(exposure[1])


@pytest.mark.systemd
@pytest.mark.parametrize("drop_in", DROP_INS, ids=lambda path: path.stem)
def test_systemd_reads_every_drop_in_and_finds_nothing_wrong_with_it(
    units: list[Path], drop_in: Path
) -> None:
    for unit in units:
        if "web" in unit.name:
            continue
        before = read_exposure(unit)
        folder = unit.with_name(f"{unit.name}.d")
        folder.mkdir()
        (folder / drop_in.name).write_text(drop_in.read_text())
        verified = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
        )
        assert (verified.returncode, verified.stderr) == (0, "")
        # Folders that may be written do not count there; everything else opens the unit a little.
        opened = drop_in.stem != "command-files"
        assert (read_exposure(unit) > before) is opened
        assert read_exposure(unit) <= MAX_EXPOSURE + 1


def test_the_guide_names_every_drop_in() -> None:
    guide = (PROJECT / "docs" / "operating.md").read_text()
    shipped = [path.name for path in (DEPLOY / "systemd" / "drop-ins").iterdir()]
    assert [name for name in shipped if f"`{name}`" not in guide] == []
