"""Faults of systemd's units, and the drop-ins of the shipped ones, by a systemd that has really booted."""

from pathlib import Path

import pytest

from scenarios.drivers import processes
from tests.servers import booted_systemd
from tests.servers.manifests import DEPLOY, UNITS
from tests.servers.target_host import write_program

TRIALS = Path(booted_systemd.__file__).with_name("unit_trials.py")
REACH = [TRIALS.with_name("unit_reach.py"), Path(processes.__file__)]
DROP_INS = sorted((DEPLOY / "systemd" / "drop-ins").glob("*.conf"))


@pytest.mark.systemd_nspawn
def test_units_are_broken_by_systemd_and_drop_ins_open_what_the_guide_says(tmp_path: Path) -> None:
    files = [write_program(tmp_path), *REACH, *UNITS, *DROP_INS]
    assert booted_systemd.run(tmp_path, TRIALS, *files) == "done\n"
