"""Workers of the database queue and short commands, of which some are killed: what was done is counted."""

from pathlib import Path

from benchmarks.servers.manage import carry_out


def test_commands_are_counted_although_processes_are_killed(tmp_path: Path) -> None:
    found = carry_out(tmp_path, tasks=24, commands=3, kills=1)
    for done in (found.tasks, found.commands):
        # A killed process may have done one thing that it has not counted.
        assert 0 <= done.done - done.counted <= done.killed <= 1
    assert found.tasks.done <= found.tasks.started <= 24
    assert found.tasks.started - found.tasks.finished <= found.tasks.killed
    assert found.succeeded <= found.commands.finished <= found.commands.started
    assert found.scrapes
    assert not found.falls
