"""Faults of systemd's units, by a systemd that has really booted."""

from pathlib import Path

import pytest

from tests.servers import booted_systemd
from tests.servers.target_host import write_program

TRIALS = Path(booted_systemd.__file__).with_name("unit_trials.py")


@pytest.mark.systemd_nspawn
def test_units_are_stopped_paused_and_started_again_by_systemd(tmp_path: Path) -> None:
    assert booted_systemd.run(tmp_path, TRIALS, write_program(tmp_path)) == "done\n"
