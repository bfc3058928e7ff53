"""The watchdog sweeps the clusters that the settings name, and goes on where one cannot be reached."""

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml

from scenarios.database.connections import DatabaseThread
from scenarios.drivers.kubernetes.sweeping import Swept
from scenarios.supervision import cluster_sweeps
from scenarios.supervision.cluster_sweeps import ClusterSweeper


@pytest.fixture(autouse=True)
def _cluster(settings: Any, tmp_path: Path) -> None:
    """One at which nothing listens."""
    config = {
        "contexts": [{"name": name, "context": {"cluster": "one"}} for name in ("east", "west")],
        "clusters": [{"name": "one", "cluster": {"server": "http://127.0.0.1:1"}}],
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    settings.KUBERNETES_CONFIG = str(tmp_path / "kubeconfig")
    settings.KUBERNETES_CONTEXTS = ["east", "west"]


async def sweep(sweeper: ClusterSweeper) -> None:
    database = DatabaseThread("tests")  # which it does not use
    await sweeper.sweep_all(database)
    await database.close()


def list_warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_cluster_that_is_away_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    sweeper = ClusterSweeper()
    for _ in range(2):
        await sweep(sweeper)
    east, west = list_warnings(caplog)
    assert "Cluster east was not swept" in east
    assert "cannot be reached" in east
    assert "Cluster west was not swept" in west


async def test_no_cluster_is_no_problem(caplog: pytest.LogCaptureFixture, settings: Any) -> None:
    settings.KUBERNETES_CONFIG = ""
    await sweep(ClusterSweeper())
    assert list_warnings(caplog) == []


async def test_each_fault_that_was_undone_is_reported(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def find_one(cluster: str) -> Swept:
        return Swept(removed=[f"Deployment 'cart' of {cluster}"])

    monkeypatch.setattr(cluster_sweeps, "sweep", find_one)
    await sweep(ClusterSweeper())
    assert len(list_warnings(caplog)) == 2
    assert "Deployment 'cart' of east" in list_warnings(caplog)[0]
