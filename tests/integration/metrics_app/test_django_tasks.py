"""Tasks of Django: carried out at once, and by the database's queue."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import timezone
from django_tasks import task

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.task_queues import django_tasks
from tests.metrics_settings import override_metrics

pytestmark = pytest.mark.django_db

AT_ONCE = {"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}}
IN_DATABASE = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}


@task()
def work() -> str:
    return "done"


@task()
def fail() -> None:
    raise ValueError("a bug")


WORK = {"task": f"{__name__}.work", "queue": "default"}
FAIL = {"task": f"{__name__}.fail", "queue": "default"}


@pytest.fixture(autouse=True)
def _watched() -> Iterator[None]:
    with override_metrics(TASKS=True):
        django_tasks.watch()
        yield


def finished(metrics: InMemoryMetricsAdapter, task: dict[str, str], outcome: str) -> float:
    return metrics.value("tasks_finished_total", {**task, "outcome": outcome})


@override_settings(TASKS=AT_ONCE)
def test_a_task_is_counted_from_the_queue_to_its_end(metrics: InMemoryMetricsAdapter) -> None:
    work.enqueue()
    fail.enqueue()
    for name in ("tasks_enqueued_total", "tasks_started_total"):
        assert [metrics.value(name, WORK), metrics.value(name, FAIL)] == [1, 1]
    assert (finished(metrics, WORK, "succeeded"), finished(metrics, FAIL, "failed")) == (1, 1)
    for name in ("task_duration_seconds", "task_wait_seconds"):
        assert all(0 <= seconds < 60 for seconds in metrics.observations(name, WORK))
        assert len(metrics.observations(name, WORK)) == 1
    assert metrics.value("tasks_in_progress", WORK) == 0


@override_settings(TASKS=IN_DATABASE)
def test_the_queue_in_the_database_shows_how_long_the_oldest_waits(metrics: InMemoryMetricsAdapter) -> None:
    now = timezone.now()
    work.enqueue()
    work.using(run_after=now + timedelta(hours=1)).enqueue()  # does not wait yet
    found = {sample.name: sample for sample in django_tasks.read_queues()}
    assert found["tasks_queued"].value == 1
    assert found["tasks_queued"].labels == {"queue": "default"}
    assert 0 <= found["tasks_oldest_queued_seconds"].value < 600


@override_settings(TASKS=IN_DATABASE)
def test_a_deferred_task_waits_from_the_moment_it_could_begin(metrics: InMemoryMetricsAdapter) -> None:
    work.using(run_after=timezone.now() - timedelta(minutes=5)).enqueue()
    found = {sample.name: sample.value for sample in django_tasks.read_queues()}
    assert found["tasks_queued"] == 1
    # It was put into the queue just now: it cannot have waited before.
    assert found["tasks_oldest_queued_seconds"] < 290


@pytest.mark.django_db(transaction=True)
@override_settings(TASKS=IN_DATABASE)
def test_a_worker_of_the_database_queue_is_recorded(metrics: InMemoryMetricsAdapter) -> None:
    work.enqueue()
    fail.enqueue()
    call_command("db_worker", batch=True, interval=0, startup_delay=False, reload=False, verbosity=0)
    assert (finished(metrics, WORK, "succeeded"), finished(metrics, FAIL, "failed")) == (1, 1)
    assert not list(django_tasks.read_queues())
