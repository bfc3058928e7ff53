"""Rows that models write, by real queries."""

from collections.abc import Iterator
from typing import cast

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import IntegrityError, transaction
from django.db.models.sql.compiler import SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from metrics_app import model_rows
from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.backend import get_metrics
from tests.metrics_settings import override_metrics

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for compiler in (SQLInsertCompiler, SQLUpdateCompiler, SQLDeleteCompiler):
        monkeypatch.setattr(compiler, "execute_sql", compiler.execute_sql)
    with override_metrics(DATABASE=True):
        model_rows.watch()
        yield


def counted(metrics: InMemoryMetricsAdapter, operation: str, model: str = "auth.Group") -> float:
    return metrics.value("model_rows_total", {"model": model, "operation": operation})


def test_one_object_is_one_row(metrics: InMemoryMetricsAdapter) -> None:
    group = Group.objects.create(name="one")
    group.name = "two"
    group.save()
    group.delete()
    assert [counted(metrics, operation) for operation in ("insert", "update", "delete")] == [1, 1, 1]


def test_rows_have_the_names_of_django_prometheus_where_the_settings_ask_for_these() -> None:
    with override_metrics(DATABASE=True, NAMES="django-prometheus"):
        Group.objects.bulk_create([Group(name="one"), Group(name="two")])
        Group.objects.filter(name="one").update(name="four")
        Group.objects.filter(name__in=["two", "four"]).delete()
        named = cast("InMemoryMetricsAdapter", get_metrics())
        found = [
            named.value(f"django_model_{operation}_total", {"model": "group"})
            for operation in ("inserts", "updates", "deletes")
        ]
    assert found == [2, 1, 2]


def test_operations_on_many_rows_count_each_row(metrics: InMemoryMetricsAdapter) -> None:
    groups = Group.objects.bulk_create([Group(name=f"group {number}") for number in range(7)], batch_size=3)
    assert counted(metrics, "insert") == 7
    for group in groups:
        group.name += "!"
    Group.objects.bulk_update(groups, ["name"])
    assert counted(metrics, "update") == 7
    Group.objects.filter(name="group 0!").update(name="first")
    assert counted(metrics, "update") == 8
    Group.objects.filter(id__in=[group.id for group in groups]).delete()
    assert counted(metrics, "delete") == 7


def test_rows_between_two_models_and_cascades_are_counted(metrics: InMemoryMetricsAdapter) -> None:
    user = User.objects.create(username="ada")
    group = Group.objects.create(name="one")
    group.permissions.set(Permission.objects.all()[:5])
    user.groups.add(group)
    assert counted(metrics, "insert", "auth.Group_permissions") == 5
    group.delete()
    assert counted(metrics, "delete", "auth.Group_permissions") == 5
    assert counted(metrics, "delete", "auth.User_groups") == 1


def test_a_write_that_fails_or_changes_nothing_counts_no_row(metrics: InMemoryMetricsAdapter) -> None:
    Group.objects.create(name="one")
    with pytest.raises(IntegrityError), transaction.atomic():
        Group.objects.create(name="one")
    Group.objects.filter(name="nobody").update(name="else")
    Group.objects.none().update(name="else")
    Group.objects.filter(name="nobody").delete()
    assert [counted(metrics, operation) for operation in ("insert", "update", "delete")] == [1, 0, 0]


def test_a_row_is_counted_once_however_often_the_app_gets_ready(metrics: InMemoryMetricsAdapter) -> None:
    model_rows.watch()
    Group.objects.create(name="one")
    assert counted(metrics, "insert") == 1


def test_nothing_is_counted_where_the_setting_is_off(metrics: InMemoryMetricsAdapter) -> None:
    with override_metrics(DATABASE=False):
        Group.objects.create(name="one")
    assert counted(metrics, "insert") == 0
