"""Cache reads, if the setting CACHES puts a wrapper around each cache of the project."""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from metrics_app.backend import BoundByAlias
from metrics_app.catalogue import CACHE_READS
from metrics_app.conf import conf
from metrics_app.ports import MetricsPort
from metrics_app.recorders import BoundCounter
from metrics_app.store_schemes import CACHE_FAILURES, CACHE_GET, CACHE_HITS, CACHE_MISSES

ABSENT = object()
"""The default that no cache can hold."""


class ReadRecorder:
    """The metrics of one cache, bound once."""

    __slots__ = ("hits", "misses")

    def __init__(self, metrics: MetricsPort, alias: str) -> None:
        self.hits: BoundCounter = metrics.bind_counter(CACHE_READS, {"alias": alias, "outcome": "hit"})
        self.misses: BoundCounter = metrics.bind_counter(CACHE_READS, {"alias": alias, "outcome": "miss"})

    def count(self, hits: int, misses: int) -> None:
        if hits:
            self.hits.inc(hits)
        if misses:
            self.misses.inc(misses)

    def count_failed(self, keys: int) -> None:
        """Count these reads as failed, because the cache raised: neither a hit nor a miss."""


class DjangoPrometheusReadRecorder(ReadRecorder):
    """The same by the names of django-prometheus."""

    __slots__ = ("_failures",)

    def __init__(self, metrics: MetricsPort, alias: str) -> None:
        labels = {"backend": find_backend_name(caches.settings[alias]["BACKEND"])}
        total = metrics.bind_counter(CACHE_GET, labels)
        self.hits = CounterWithTotal(metrics.bind_counter(CACHE_HITS, labels), total)
        self.misses = CounterWithTotal(metrics.bind_counter(CACHE_MISSES, labels), total)
        self._failures = CounterWithTotal(metrics.bind_counter(CACHE_FAILURES, labels), total)

    def count_failed(self, keys: int) -> None:
        self._failures.inc(keys)


class CounterWithTotal:
    def __init__(self, counter: BoundCounter, total: BoundCounter) -> None:
        self._counter = counter
        self._total = total

    def inc(self, amount: float = 1.0) -> None:
        self._counter.inc(amount)
        self._total.inc(amount)


BACKEND_NAMES = {"django.core.cache.backends.redis": "native_redis", "django_redis.cache": "redis"}


def find_backend_name(path: str) -> str:
    """The name that django-prometheus gives the cache backend with this dotted path."""
    module = path.rpartition(".")[0]
    return BACKEND_NAMES.get(module, module.rpartition(".")[2])


def _make_recorder(metrics: MetricsPort, alias: str) -> ReadRecorder:
    kind = DjangoPrometheusReadRecorder if conf.names == "django-prometheus" else ReadRecorder
    return kind(metrics, alias)


recorders = BoundByAlias(_make_recorder)


class CountedCache:
    """Wraps a cache with all its methods, and counts each key whose value is read as a hit or a miss.

    It wraps the cache instead of deriving from it, because some caches read many keys by reading one, and
    others one by reading many: each would be counted twice.
    """

    _alias: str
    _cache: Any

    def __init__(self, alias: str, cache: Any) -> None:
        vars(self).update(_alias=alias, _cache=cache)

    # Django asks some caches for their class, in its system checks and in createcachetable.
    __class__ = property(lambda self: type(self._cache))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._cache, name, value)

    def __contains__(self, key: Any) -> bool:
        return key in self._cache

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with CountedFailure(self._alias):
            value = self._cache.get(key, ABSENT, version)
        return self._found(value, default)

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        with CountedFailure(self._alias):
            value = await self._cache.aget(key, ABSENT, version)
        return self._found(value, default)

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        wanted = list(dict.fromkeys(keys))
        with CountedFailure(self._alias, len(wanted)):
            found = self._cache.get_many(wanted, version)
        return self._found_of(wanted, found)

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        wanted = list(dict.fromkeys(keys))
        with CountedFailure(self._alias, len(wanted)):
            found = await self._cache.aget_many(wanted, version)
        return self._found_of(wanted, found)

    def get_or_set(
        self, key: Any, default: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Any:
        missing = Default(default, recorders.of(self._alias))
        with missing:
            return missing.unless(self._cache.get_or_set(key, missing, timeout, version))

    async def aget_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Any = DEFAULT_TIMEOUT,  # noqa: ASYNC109 - Django's, and the cache's to keep it
        version: int | None = None,
    ) -> Any:
        missing = Default(default, recorders.of(self._alias))
        with missing:
            return missing.unless(await self._cache.aget_or_set(key, missing, timeout, version))

    def _found(self, value: Any, default: Any) -> Any:
        recorder = recorders.of(self._alias)
        if value is ABSENT:
            recorder.misses.inc()
            return default
        recorder.hits.inc()
        return value

    def _found_of(self, keys: list[Any], found: dict[Any, Any]) -> dict[Any, Any]:
        recorders.of(self._alias).count(len(found), len(keys) - len(found))
        return found


class CountedFailure:
    """Counts a read of this many keys as failed if the cache raises."""

    __slots__ = ("_alias", "_keys")

    def __init__(self, alias: str, keys: int = 1) -> None:
        self._alias = alias
        self._keys = keys

    def __enter__(self) -> None:
        """It has not failed yet."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception):
            recorders.of(self._alias).count_failed(self._keys)


class Default:
    """The value that is put into the cache when the key is missing: a miss, even if making the value fails.

    As a context manager it counts a failed read if the cache raises before it has asked for the value.
    """

    def __init__(self, value: Any, recorder: ReadRecorder) -> None:
        self._value = value
        self._recorder = recorder
        self._asked_for = False

    def __enter__(self) -> None:
        """It has not failed yet."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception) and not self._asked_for:
            self._recorder.count_failed(1)

    def unless(self, found: Any) -> Any:
        """The cache's answer, which was a hit unless the default was used."""
        if not self._asked_for:
            self._recorder.hits.inc()
        return found

    def __call__(self) -> Any:
        self._asked_for = True
        self._recorder.misses.inc()
        return self._value() if callable(self._value) else self._value


def count_reads_of_all_caches() -> None:
    """Count the reads of each cache that is made from now on, if the setting CACHES asks for it then."""
    handler: Any = caches
    create = handler.create_connection
    if getattr(create, "func", None) is _create_cache:
        return
    handler.create_connection = partial(_create_cache, create)
    if conf.caches:
        # An app that was set up earlier may already have used them.
        for alias in handler:
            if hasattr(handler._connections, alias):  # noqa: SLF001 - asking for it would make it
                handler[alias] = CountedCache(alias, handler[alias])


def _create_cache(create: Callable[[str], Any], alias: str) -> Any:
    cache = create(alias)
    return CountedCache(alias, cache) if conf.caches else cache
