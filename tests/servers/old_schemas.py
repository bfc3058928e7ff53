"""Fills a database of an earlier version with unfinished work, for the tests of upgrades. Runs in Django."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

# The last migration of the first version, 0.1.0, and of the last release. Until a release follows the first,
# a schema on the way to it, as those have who install from the repository.
VERSIONS = {"first": "0012_base_url_in_words", "released": "0032_included_scenarios_of_runs"}
STATES = ("outstanding", "running", "queued")
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {{name: {name}}}
spec:
  phases:
    - name: chaos
      actions:
        - name: break it
          do: {{http: {{service: {name}, method: POST, path: /fault}}}}
          undo: {{http: {{service: {name}, method: DELETE, path: /fault}}}}
"""
CARRY_OUT_TASK = "scenarios.tasks.carry_out_run"


def list_names() -> list[str]:
    """Those of the runs, each with a service of this name."""
    return [f"{version}-{state}" for version in VERSIONS for state in STATES]


def fill_and_upgrade(addresses: Mapping[str, str]) -> None:
    """Bring the empty database to each former schema, with runs as that version left it, and to this one."""
    leaves = MigrationExecutor(connection).loader.graph.leaf_nodes()
    others = [node for node in leaves if node[0] != "scenarios"]
    for version, last in VERSIONS.items():
        targets = [*others, ("scenarios", last)]
        executor = MigrationExecutor(connection)  # which knows what is applied by now
        apps = executor.migrate(targets).apps
        for state in STATES:
            name = f"{version}-{state}"
            apps.get_model("scenarios", "Service").objects.create(name=name, base_url=addresses[name])
            # The first version did not write which services its runs and faults hold.
            write_run(apps, name, state, {"services": [name]} if version == "released" else {})
    call_command("migrate", verbosity=0)


def write_run(apps: Any, name: str, state: str, held: dict[str, list[str]]) -> None:
    """The run with its fault, and with its message if it is queued."""
    then = timezone.now() - timedelta(hours=1)
    all_fields: dict[str, dict[str, Any]] = {
        "outstanding": {
            "state": "finished",
            "outcome": "failed",
            "rollback": "dirty",
            "claimed_at": then,
            "finished_at": then,
        },
        "running": {"state": "running", "claimed_at": then, "lease_until": then, "worker": "gone:1"},
        "queued": {"enqueued_at": timezone.now()},
    }
    run = apps.get_model("scenarios", "Run").objects.create(
        scenario_name=name,
        document=DOCUMENT.format(name=name),
        started_from="cli",
        queued_at=then,
        **all_fields[state],
        **held,
    )
    if state == "queued":
        apps.get_model("django_tasks_database", "DBTaskResult").objects.create(
            args_kwargs={"args": [str(run.pk), 1], "kwargs": {}},
            task_path=CARRY_OUT_TASK,
            backend_name="default",
            run_after=then,
        )
        return
    undo = {"service": name, "method": "DELETE", "path": "/fault"}
    apps.get_model("scenarios", "Fault").objects.create(
        run=run,
        order=1,
        phase="chaos",
        action="break it",
        driver="http",
        service=name,
        undo={"driver": "http", "arguments": undo},
        timeout=30.0,
        state="outstanding" if state == "outstanding" else "active",
        opened_at=then,
        injected_at=then,
        **held,
    )
    if held:
        apps.get_model("scenarios", "Hold").objects.create(service=name, run=run)
