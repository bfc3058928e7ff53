"""Runs with a step that acts on the host of its worker."""

from typing import Any

from scenarios.models import Run
from scenarios.runs import commands as run_commands
from scenarios.runs import leases
from scenarios.runs.leases import Claim

# A fault on the host, which is the file that `sh` makes, and one that is not bound to it.
DOCUMENT = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: bound}
spec:
  phases:
    - name: chaos
      actions:
        - name: break the host
          do: {command: {run: [sh, -c, "touch FILE"]}}
          undo: {command: {run: [sh, -c, "rm FILE"]}}
        - name: break the rest
          do: {wait: {duration: 0s}}
          undo: {wait: {duration: 0s}}
"""


def queued(document: str, **options: Any) -> Run:
    return run_commands.start_run(document, {}, origin="cli", **options)


def claim(run: Run) -> Claim | None:
    return leases.claim_run(run.id, run.attempt, worker="dead:1")
