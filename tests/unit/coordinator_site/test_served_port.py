"""Commands find the port on which `up` serves while it does."""

from pathlib import Path

from coordinator_site import served_port


def test_the_port_is_found_while_it_is_served(tmp_path: Path) -> None:
    assert served_port.find(tmp_path) is None
    with served_port.kept(tmp_path, 18810):
        assert served_port.find(tmp_path) == 18810
    assert served_port.find(tmp_path) is None


def test_what_a_killed_process_left_behind_is_not_found(tmp_path: Path) -> None:
    largest = int(Path("/proc/sys/kernel/pid_max").read_text())
    (tmp_path / served_port.NAME).write_text(f"{largest + 1} 18810\n")
    assert served_port.find(tmp_path) is None
    (tmp_path / served_port.NAME).write_text("")  # the disk was full
    assert served_port.find(tmp_path) is None
