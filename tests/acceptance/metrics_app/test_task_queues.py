"""Tasks under workers of Celery and RQ that replace their processes: what was done is what was counted."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from metrics_app.adapters.prometheus import PrometheusMetricsAdapter
from metrics_app.ports import MetricsLabels, MetricsOptions
from tests.exposition import samples
from tests.servers.loopback import wait_for
from tests.servers.redis_server import redis_server

pytestmark = pytest.mark.redis

PROJECT = Path(__file__).resolve().parents[3]
TASKS = 40
JOBS = """
import os, signal
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["metrics_app"],
    USE_TZ=True,
    METRICS={"DIRECTORY": os.environ["METRICS"], "TASKS": True},
)
django.setup()

from celery import Celery
from redis import Redis
from rq import Queue

app = Celery("jobs", broker=os.environ["REDIS_URL"])
queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))


@app.task(name="work")
def work(number):
    if number % 4 == 3:
        raise ValueError(number)


def work_for_rq(number):
    if number % 4 == 3:
        raise ValueError(number)
"""
CELERY = ("-m", "celery", "-A", "jobs", "worker", "--concurrency=2", "--max-tasks-per-child=5")
RQ = (
    "-c",
    "import jobs; from rq import Worker; Worker([jobs.queue], connection=jobs.queue.connection).work()",
)


class Site:
    def __init__(self, folder: Path, redis_url: str) -> None:
        (folder / "jobs.py").write_text(JOBS)
        self._folder = folder
        self._metrics = folder / "metrics"
        path = f"{folder}{os.pathsep}{PROJECT}"
        own = {"METRICS": str(self._metrics), "REDIS_URL": redis_url, "PYTHONPATH": path}
        self._environment = {"PATH": os.environ["PATH"], "NO_COLOR": "1", **own}

    def run(self, code: str) -> None:
        subprocess.run(
            [sys.executable, "-c", code], cwd=self._folder, env=self._environment, check=True, timeout=300
        )

    @contextmanager
    def worker(self, *command: str) -> Iterator[None]:
        process = subprocess.Popen([sys.executable, *command], cwd=self._folder, env=self._environment)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(300)

    def counted(self) -> dict[str, float]:
        """The sums of all counters of tasks over their labels, and of finished tasks by their outcome."""
        options = MetricsOptions(MetricsLabels(service="", instance="", version=""), self._metrics, 100)
        adapter = PrometheusMetricsAdapter.configured(options)
        try:
            found = samples(adapter.get_http_handler()("").decode())
        finally:
            adapter.close()
        sums: dict[str, float] = {}
        for name, series in found.items():
            for labels, value in series.items():
                key = f"{name} {dict(labels).get('outcome', '')}".strip()
                sums[key] = sums.get(key, 0.0) + value
        return sums


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with redis_server(tmp_path) as redis:
        yield Site(tmp_path, redis.url)


def assert_all_counted(site: Site) -> None:
    def is_done() -> bool:
        counted = site.counted()
        return sum(value for name, value in counted.items() if "tasks_finished_total" in name) >= TASKS

    wait_for(is_done, what="every task has ended")
    counted = site.counted()
    assert counted["tasks_enqueued_total"] == counted["tasks_started_total"] == TASKS
    assert counted["tasks_finished_total succeeded"] == TASKS * 3 / 4
    assert counted["tasks_finished_total failed"] == TASKS / 4
    assert counted["task_duration_seconds_count"] == counted["task_wait_seconds_count"] == TASKS


def test_tasks_of_celery_are_counted_while_its_children_are_replaced(site: Site) -> None:
    with site.worker(*CELERY):
        site.run(f"import jobs\nfor number in range({TASKS}): jobs.work.delay(number)")
        assert_all_counted(site)


def test_jobs_of_rq_are_counted_though_each_has_a_process_of_its_own(site: Site) -> None:
    with site.worker(*RQ):
        site.run(f"import jobs\nfor number in range({TASKS}): jobs.queue.enqueue(jobs.work_for_rq, number)")
        assert_all_counted(site)
