"""Documents of one phase that reach for addresses, and their runs, carried out in this process."""

import json
from collections.abc import Callable
from typing import Any

from django.contrib.auth.models import User
from django.db import connection

from scenarios.models import Run
from scenarios.planning import approvals
from scenarios.runs import commands as run_commands
from scenarios.runs import executor
from tests.integration.scenarios.planned_rows import read_approval, someone


def document(*, actions: Any = (), validations: Any = (), guards: Any = ()) -> str:
    spec: dict[str, Any] = {
        "phases": [{"name": "p", "actions": list(actions), "validations": list(validations)}]
    }
    if guards:
        spec["guards"] = list(guards)
    return json.dumps(
        {"apiVersion": "coordinator/v1", "kind": "Scenario", "metadata": {"name": "reaching"}, "spec": spec}
    )


def action(do: dict[str, Any], undo: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": "act", "do": do, **({"undo": undo} if undo else {})}


def probe(step: dict[str, Any]) -> dict[str, Any]:
    return {"name": "look", "probe": step, "expect": {"status": {"exists": True}}}


def queued(source: str, by: User | None = None) -> Run:
    return run_commands.start_run(source, {}, origin="cli", by=by)


def carried_out(run: Run) -> Run:
    executor.carry_out(str(run.id), run.attempt)
    return Run.objects.get(pk=run.pk)


def approved(run: Run) -> Run:
    approvals.approve(read_approval(run), by=someone("bob", "approve_run"))
    return carried_out(run)


def in_the_database(act: Callable[[Any], object]) -> Callable[[Any], None]:
    """Done in the server's thread, which leaves no connection behind."""

    def close_after(request: Any) -> None:
        try:
            act(request)
        finally:
            connection.close()

    return close_after
