"""The metrics adapter of this process, whatever configures the process.

`set_up` configures it: `metrics_app.backend` by Django's settings, when it is imported, and
`metrics_app.standalone` by arguments and the environment.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from threading import RLock
from typing import NamedTuple

from metrics_app.ports import GaugeSample, MetricsPort, ScrapeGauges


class Setup(NamedTuple):
    make: Callable[[], MetricsPort]
    """Makes an adapter."""
    raises_misuse: Callable[[], bool]
    """Whether a recording that cannot be made raises; else it is counted and logged."""
    after_reading: Callable[[], None]
    """Called in the thread that has read gauges at a scrape, to give back what it holds."""


# Re-entrant, because a signal handler may record while the adapter is being made.
_lock = RLock()
_setup: Setup | None = None
_scrape_gauges: list[ScrapeGauges] = []

adapter: MetricsPort | None = None
"""None until something asks for it, and after `reset`."""


def set_up(setup: Setup | None) -> None:
    """Make adapters with this function from now on; None stands for no configuration."""
    global _setup  # noqa: PLW0603 - one per process is the purpose
    with _lock:
        _setup = setup


@contextmanager
def replaced(by: MetricsPort) -> Iterator[None]:
    """Record by another adapter within the block."""
    global adapter  # noqa: PLW0603 - one per process is the purpose
    with _lock:
        kept, adapter = adapter, by
    try:
        yield
    finally:
        with _lock:
            adapter = kept


def is_set_up() -> bool:
    """Whether something has said how adapters are made."""
    return _setup is not None


def get_metrics() -> MetricsPort:
    """The adapter of this process; if the settings are wrong, one that is not exposed."""
    global adapter  # noqa: PLW0603 - one per process is the purpose
    if adapter is None:
        with _lock:
            if adapter is None:
                made = find_setup().make()
                for read in _scrape_gauges:
                    made.register_scrape_gauges(read)
                if adapter is None:
                    adapter = made
                else:
                    made.close()  # a signal handler was here meanwhile, and has recorded
    return adapter


def find_setup() -> Setup:
    """How this process is configured: by `set_up`, else by Django's settings, else by the environment."""
    if _setup is None and _has_django_settings():
        import_module("metrics_app.backend")
    if _setup is None:
        import_module("metrics_app.standalone").set_up({})
    assert _setup is not None, "each of both has called set_up()"  # noqa: S101 - for the type checker
    return _setup


def register_scrape_gauges(read: ScrapeGauges) -> None:
    """Read these gauges at each scrape, with this adapter and any later one.

    `read` runs in a separate thread; the database connections that it opens there are closed. It has half a
    second: use one short query with its own time limit.
    """

    @wraps(read)
    def read_and_clean_up() -> Iterable[GaugeSample]:
        try:
            return list(read())
        finally:
            find_setup().after_reading()

    with _lock:
        _scrape_gauges.append(read_and_clean_up)
        if adapter is not None:
            adapter.register_scrape_gauges(read_and_clean_up)


def reset() -> None:
    """Close the adapter; the next call of `get_metrics` makes another."""
    global adapter
    with _lock:
        closed, adapter = adapter, None
    if closed is not None:
        closed.close()


def _has_django_settings() -> bool:
    django_conf = sys.modules.get("django.conf")
    configured = django_conf is not None and django_conf.settings.configured
    return bool(configured or os.environ.get("DJANGO_SETTINGS_MODULE"))
