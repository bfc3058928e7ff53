"""From the schemas of former versions to this one, with faults, runs and messages that they left."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.servers.coordinator import coordinator
from tests.servers.loopback import wait_for
from tests.servers.old_schemas import VERSIONS, list_names
from tests.servers.target import Target, running_target

FILL = "from tests.servers.old_schemas import fill_and_upgrade; fill_and_upgrade({addresses})"
ENDS = {
    "outstanding": ("failed", "clean"),
    "running": ("interrupted", "clean"),
    "queued": ("passed", "clean"),
}


@pytest.fixture
def targets() -> Iterator[dict[str, Target]]:
    """One for each run, broken by those that began."""
    with ExitStack() as stack:
        running = {name: stack.enter_context(running_target()) for name in list_names()}
        for name, target in running.items():
            target.active = 0 if name.endswith("queued") else 1
        yield running


@pytest.mark.parametrize("database", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def test_faults_runs_and_messages_of_former_versions_come_to_their_end(
    database: str, targets: dict[str, Target], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    environment = {}
    if database == "postgresql":
        environment["DATABASE_URL"] = request.getfixturevalue("postgresql_server").new_database()
    with coordinator(tmp_path, **environment) as system:
        addresses = {name: target.url for name, target in targets.items()}
        system.manage("shell", "--no-imports", "-c", FILL.format(addresses=json.dumps(addresses)))
        held = {service for (service,) in system.rows("SELECT service FROM scenarios_hold")}
        assert held == {name for name in addresses if not name.endswith("queued")}
        system.start_worker()
        system.start_watchdog()

        def read_ends() -> dict[str, tuple[str, str]]:
            rows = system.rows("SELECT scenario_name, outcome, rollback FROM scenarios_run")
            return {name: (outcome, rollback) for name, outcome, rollback in rows}

        expected = {f"{version}-{state}": end for version in VERSIONS for state, end in ENDS.items()}
        wait_for(lambda: read_ends() == expected, what="every run has come to its end")
        assert {name: target.active for name, target in targets.items()} == dict.fromkeys(addresses, 0)
        assert all(target.undone for target in targets.values())
        assert system.rows("SELECT service FROM scenarios_hold") == []
