"""Hits and misses of real caches, where a setting asks for them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import InvalidCacheBackendError, cache, caches
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.test import override_settings

from metrics_app.adapters.memory import InMemoryMetricsAdapter
from metrics_app.cache import CountedCache, count_reads_of_all_caches
from tests.metrics_settings import override_metrics

LOCAL = "django.core.cache.backends.locmem.LocMemCache"
FILES = "django.core.cache.backends.filebased.FileBasedCache"
DATABASE = "django.core.cache.backends.db.DatabaseCache"


@pytest.fixture(params=[LOCAL, FILES, DATABASE], ids=lambda path: path.rpartition(".")[2])
def _counted_cache(request: pytest.FixtureRequest, tmp_path: Path, db: None) -> Iterator[None]:
    location = str(tmp_path) if request.param == FILES else "cached"
    params = {"BACKEND": request.param, "LOCATION": location, "KEY_PREFIX": "shop"}
    with override_metrics(CACHES=True), override_settings(CACHES={"default": params}):
        call_command("createcachetable")
        cache.clear()
        yield


def reads(metrics: InMemoryMetricsAdapter) -> tuple[float, float]:
    """Hits and misses."""
    hits, misses = (
        metrics.value("cache_reads_total", {"alias": "default", "outcome": outcome})
        for outcome in ("hit", "miss")
    )
    return hits, misses


@pytest.mark.usefixtures("_counted_cache")
def test_a_read_is_a_hit_or_a_miss(metrics: InMemoryMetricsAdapter) -> None:
    assert cache.get("key", "default") == "default"
    cache.set("key", None)
    assert cache.get("key", "default") is None
    assert reads(metrics) == (1, 1)


@pytest.mark.usefixtures("_counted_cache")
def test_each_of_many_keys_is_counted_once(metrics: InMemoryMetricsAdapter) -> None:
    cache.set_many({"a": 1, "b": 2})
    assert cache.get_many(["a", "b", "c", "a"]) == {"a": 1, "b": 2}
    assert reads(metrics) == (2, 1)


@pytest.mark.usefixtures("_counted_cache")
def test_get_or_set_of_a_missing_key_is_one_miss(metrics: InMemoryMetricsAdapter) -> None:
    assert cache.get_or_set("key", lambda: 1) == 1
    assert cache.get_or_set("key", 2) == 1
    assert reads(metrics) == (1, 1)


@pytest.mark.usefixtures("_counted_cache")
def test_calls_that_read_no_value_are_not_counted(metrics: InMemoryMetricsAdapter) -> None:
    cache.add("key", 1)
    cache.incr("key")
    assert ("key" in cache, "other" in cache, cache.has_key("key")) == (True, False, True)
    cache.touch("key", 10)
    cache.delete("key")
    assert reads(metrics) == (0, 0)


async def test_async_reads_are_counted_likewise(metrics: InMemoryMetricsAdapter) -> None:
    caches_of_test = {"default": {"BACKEND": LOCAL, "LOCATION": "async"}}
    with override_metrics(CACHES=True), override_settings(CACHES=caches_of_test):
        assert await cache.aget("key") is None
        assert await cache.aget_or_set("key", 1) == 1
        assert await cache.aget_many(["key", "other"]) == {"key": 1}
        assert await cache.aget("key") == 1
    assert reads(metrics) == (2, 3)


def test_it_passes_for_the_cache_that_it_counts() -> None:
    caches_of_test = {"default": {"BACKEND": LOCAL, "OPTIONS": {"MAX_ENTRIES": 7}}}
    with override_metrics(CACHES=True), override_settings(CACHES=caches_of_test):
        found: Any = caches["default"]
        assert type(found) is CountedCache
        assert isinstance(found, LocMemCache)
        assert found._max_entries == 7
        found.key_prefix = "other"
        assert found.make_key("key") == "other:1:key"


def test_nothing_stands_around_a_cache_unless_a_setting_asks() -> None:
    with override_settings(CACHES={"default": {"BACKEND": LOCAL}}):
        assert type(caches["default"]) is LocMemCache


def test_caches_that_were_used_before_this_app_was_set_up_are_counted(
    metrics: InMemoryMetricsAdapter,
) -> None:
    with override_settings(CACHES={"default": {"BACKEND": LOCAL}}):
        cache.set("key", 1)
        del caches.create_connection
        with override_metrics(CACHES=True):
            count_reads_of_all_caches()
            count_reads_of_all_caches()  # once, however often apps are set up
            assert cache.get("key") == 1
            assert type(caches["default"]._cache) is LocMemCache  # type: ignore[attr-defined]
    assert reads(metrics) == (1, 0)


def test_a_backend_that_does_not_exist_is_refused_as_django_does() -> None:
    with (
        override_metrics(CACHES=True),
        override_settings(CACHES={"default": {"BACKEND": "nowhere.Cache"}}),
        pytest.raises(InvalidCacheBackendError, match=r"nowhere\.Cache"),
    ):
        caches["default"].get("key")


@pytest.mark.usefixtures("_counted_cache")
def test_a_value_that_cannot_be_made_was_missed_all_the_same(metrics: InMemoryMetricsAdapter) -> None:
    def failing() -> int:
        raise RuntimeError("broken on purpose")

    with pytest.raises(RuntimeError):
        cache.get_or_set("key", failing)
    assert reads(metrics) == (0, 1)
