"""The shipped units, started by a systemd that has really booted: killed, drained and stopped.

benchmarks/systemd_guide.py follows the whole guide, on a Debian of its own, with PostgreSQL and drop-ins.
"""

import sys
from pathlib import Path

import pytest

from coordinator_site.fresh_machine import get_stamp
from tests.servers import booted_systemd
from tests.servers.coordinator import PROJECT, coordinator
from tests.servers.manifests import UNITS

TRIAL = Path(booted_systemd.__file__).with_name("unit_faults.py")
TARGET = PROJECT / "benchmarks" / "systemd" / "target.py"
PLACE, PYTHON = "/opt/test-coordinator", "/opt/python"
# What the processes read of the repository.
READ = ("coordinator_client", "coordinator_site", "injector", "metrics_app", "scenarios", "docs")
FILES = ("manage.py", "gunicorn.conf.py", "requirements.txt", ".env.example")


def place_coordinator(folder: Path) -> dict[str, Path]:
    """The repository where the guide puts it, with this environment's packages and its Python.

    The units see no folder below /root, where that may be.
    """
    binaries = folder / "venv" / "bin"
    binaries.mkdir(parents=True)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    home = "/usr" if sys.base_prefix == "/usr" else PYTHON
    (binaries / "python").symlink_to(f"{home}/bin/{version}")
    (folder / "venv" / "pyvenv.cfg").write_text(f"home = {home}/bin\ninclude-system-site-packages = false\n")
    packages = Path("lib") / version / "site-packages"
    (folder / "venv" / packages).mkdir(parents=True)
    # Else manage.py would install what it does not find there.
    get_stamp(folder / "venv", PROJECT / "requirements.txt").touch()
    gunicorn = binaries / "gunicorn"
    _, _, program = (Path(sys.prefix) / "bin" / "gunicorn").read_text().partition("\n")
    gunicorn.write_text(f"#!{PLACE}/.venv/bin/python\n{program}")
    gunicorn.chmod(0o755)
    places = {f"{PLACE}/{name}": PROJECT / name for name in (*READ, *FILES)}
    places |= {f"{PLACE}/.venv": folder / "venv", f"{PLACE}/.venv/{packages}": Path(sys.prefix) / packages}
    return places if home == "/usr" else places | {PYTHON: Path(sys.base_prefix)}


@pytest.mark.redis
@pytest.mark.systemd_nspawn
def test_units_of_both_queues_leave_no_fault_when_workers_are_killed_and_drained(tmp_path: Path) -> None:
    folder = tmp_path / "probe"
    folder.mkdir()
    with coordinator(folder / "data") as prepared:
        prepared.set_up(target="http://127.0.0.1:9000")
    places = place_coordinator(tmp_path)
    assert booted_systemd.run(folder, TRIAL, TARGET, *UNITS, places=places) == "done\n"
