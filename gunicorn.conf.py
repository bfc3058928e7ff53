"""How gunicorn serves: `gunicorn` alone, in this directory, is enough."""

import gc
import ipaddress
import os

import environ
from django.core.exceptions import ImproperlyConfigured

from coordinator_site import logs, places
from coordinator_site.environment import MAX_PORT, one_of, whole_number
from coordinator_site.gunicorn_logger import build_logger_class

# As in manage.py: loading the application makes many objects and hardly any garbage.
_OBJECTS_BEFORE_COLLECTION = 500_000
_OBJECTS_BETWEEN_COLLECTIONS = 10_000
gc.set_threshold(_OBJECTS_BEFORE_COLLECTION)


class _Env(environ.Env):  # type: ignore[misc]
    # A copy: what .env says must not stay in the environment, or a reload (HUP) would keep the old values.
    ENVIRON = dict(os.environ)


_Env.read_env(places.find_settings_file())
_env = _Env()


def _number(name: str, default: str, *, lowest: int, highest: int) -> int:
    return whole_number(name, _env.str(name, default), lowest=lowest, highest=highest)


def _address() -> str:
    value = _env.str("WEB_ADDRESS", "127.0.0.1")
    try:
        address = ipaddress.ip_address(value)
    except ValueError as error:
        raise ImproperlyConfigured(
            f"WEB_ADDRESS={value!r} is no IP address: '127.0.0.1' for this machine alone, "
            f"'0.0.0.0' for every network it is in."
        ) from error
    return f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IPv6


wsgi_app = "coordinator_site.wsgi:application"
bind = f"{_address()}:{_number('PORT', '8080', lowest=1, highest=MAX_PORT)}"

# Threads, for a page that follows a run keeps its connection open and would occupy a sync worker.
worker_class = "gthread"
threads = 8
workers = _number("WEB_CONCURRENCY", "2", lowest=1, highest=64)

# A worker is replaced after so many requests, give or take, so that not all go at once. 0: never.
max_requests = _number("WEB_MAX_REQUESTS", "0", lowest=0, highest=10_000_000)
max_requests_jitter = _number(
    "WEB_MAX_REQUESTS_JITTER", str(max_requests // 10), lowest=0, highest=10_000_000
)

graceful_timeout = _number("WEB_GRACEFUL_TIMEOUT", "30", lowest=1, highest=3600)

_production = _env.str("ENVIRONMENT", "development") == "production"
_service = _env.str("SERVICE_NAME", "test-coordinator")
logger_class = build_logger_class(
    logs.logging_config(
        one_of(
            "LOG_FORMAT", _env.str("LOG_FORMAT", logs.default_format(production=_production)), logs.FORMATS
        ),
        one_of("LOG_LEVEL", _env.str("LOG_LEVEL", "INFO").upper(), logs.LEVELS),
        service=_service,
        instance=_env.str("SERVICE_INSTANCE_NAME", _service),
    )
)


def post_worker_init(_worker: object) -> None:
    """A worker is shown before its first request, also where the application was loaded before the fork."""
    from metrics_app.backend import get_metrics  # noqa: PLC0415 - Django's settings are there only now

    get_metrics().announce()
    gc.freeze()  # what is loaded stays: the collector need not look through it
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)


# gunicorn would open a socket in the home directory, by which it can be controlled.
control_socket_disable = True
