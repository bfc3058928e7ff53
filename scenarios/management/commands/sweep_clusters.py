"""`manage.py sweep_clusters`: undoes faults in clusters that are past their time."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from scenarios.domain.errors import StepFailed
from scenarios.drivers.kubernetes.clusters import NoCluster, list_clusters
from scenarios.drivers.kubernetes.sweeping import sweep


class Command(BaseCommand):
    help = (
        "Undo faults in the configured Kubernetes clusters that are past their time. Needs neither the "
        "database nor a running coordinator; the watchdog does the same."
    )
    requires_system_checks = ()

    def handle(self, *_arguments: Any, **_options: Any) -> None:
        try:
            clusters = list_clusters()
        except NoCluster as error:
            raise CommandError(str(error)) from error
        failed = [problem for cluster in clusters for problem in self._sweep(cluster)]
        if failed:
            raise CommandError("; ".join(failed))

    def _sweep(self, cluster: str) -> list[str]:
        try:
            swept = asyncio.run(sweep(cluster))
        except StepFailed as error:
            return [str(error)]
        for target in swept.removed:
            self.stdout.write(f"Undid the fault of {target}.")
        if not swept.removed and not swept.failed:
            self.stdout.write(f"Nothing in {cluster} is past its time.")
        for resources in swept.unread:
            self.stdout.write(f"Not looked at, because the account may not list them: {resources}.")
        return swept.failed
