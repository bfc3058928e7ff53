"""The watchdog's look for faults in clusters that are past their time, whatever has become of their runs."""

import logging

from scenarios.database.connections import DatabaseThread
from scenarios.domain.errors import StepFailed
from scenarios.drivers.kubernetes.clusters import NoCluster, list_clusters
from scenarios.drivers.kubernetes.sweeping import sweep

logger = logging.getLogger(__name__)

SWEEP_EVERY_SECONDS = 30.0


class ClusterSweeper:
    """A cluster that cannot be reached is no trouble of the watchdog: it is said once, and asked again."""

    def __init__(self) -> None:
        self._problems: dict[str, str] = {}

    async def sweep_all(self, _database: DatabaseThread) -> None:
        """Sweep every cluster that the settings name; nothing where they name none."""
        try:
            clusters = list_clusters()
        except NoCluster:
            return
        for cluster in clusters:
            try:
                swept = await sweep(cluster)
            except StepFailed as error:
                self._note(cluster, str(error))
                continue
            for target in swept.removed:
                logger.warning("Cluster %s: undid a fault past its time: %s", cluster, target)
            self._note(cluster, "; ".join(swept.failed))

    def _note(self, cluster: str, problem: str) -> None:
        if problem and problem != self._problems.get(cluster):
            logger.warning("Cluster %s was not swept of faults past their time: %s", cluster, problem)
        self._problems[cluster] = problem
