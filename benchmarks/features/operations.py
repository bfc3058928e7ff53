"""Prints the microseconds of processor time that one operation takes with given settings.

    python -m benchmarks.features.operations query '{"DATABASE": true}'

The last argument is the dictionary METRICS; without it the project has no metrics at all. For each line of
its input it carries out one short round and prints the mean, so that processes can take turns.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from time import thread_time
from typing import Any

import django
from django.conf import settings
from django.core.cache import cache
from django.core.handlers.base import BaseHandler
from django.core.management import BaseCommand, call_command
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.urls import path

Operation = Callable[[], object]
SECONDS_A_ROUND = 0.02


def home(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(b"ok")


urlpatterns = [path("", home, name="home")]


def find_tenant(_request: HttpRequest) -> str:
    return "acme"


class DoNothing(BaseCommand):
    requires_system_checks = ()

    def handle(self, **_options: object) -> None:
        pass


def request() -> Operation:
    handler = BaseHandler()
    handler.load_middleware()
    factory = RequestFactory()
    return lambda: handler.get_response(factory.get("/"))


def query() -> Operation:
    def select() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")

    return select


def row() -> Operation:
    from django.contrib.contenttypes.models import ContentType  # noqa: PLC0415 - settings come first

    with connection.schema_editor() as editor:
        editor.create_model(ContentType)
    ContentType.objects.create(app_label="shop", model="order")
    orders = ContentType.objects.filter(app_label="shop")
    return lambda: orders.update(model="order")


def cache_read() -> Operation:
    cache.set("key", "value")
    return lambda: cache.get("key")


def task() -> Operation:
    from benchmarks.features.tasks import do_nothing  # noqa: PLC0415 - settings come first

    return do_nothing.enqueue


def command() -> Operation:
    return lambda: call_command(DoNothing())


def observation() -> Operation:
    from metrics_app import metrics  # noqa: PLC0415 - settings come first

    seconds = metrics.histogram("shop_seconds", "Time.", ("kind",)).labels(kind="a")
    return lambda: seconds.observe(0.25)


def exemplar() -> Operation:
    from metrics_app import metrics  # noqa: PLC0415 - settings come first

    seconds = metrics.histogram("shop_seconds", "Time.", ("kind",)).labels(kind="a")
    trace = {"trace_id": "4bf92f3577b34da6a3ce929d0e0e4736"}
    return lambda: seconds.observe(0.25, exemplar=trace)


def utf8_name() -> Operation:
    from metrics_app import metrics  # noqa: PLC0415 - settings come first

    seconds = metrics.histogram("shop.seconds", "Time.", ("kind.of",)).labels("a")
    return lambda: seconds.observe(0.25)


def message() -> Operation:
    """One connection with 100 messages each way; the cost of one message."""
    app: Any = _echo
    if settings.METRICS is not None:
        from metrics_app.websockets import WebSocketMetrics  # noqa: PLC0415 - as above

        app = WebSocketMetrics(_echo, route=lambda _scope: "/echo")
    loop = asyncio.new_event_loop()
    return lambda: loop.run_until_complete(_converse(app))


MESSAGES = 100


async def _echo(_scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": "hello"})


async def _converse(app: Any) -> None:
    left = MESSAGES + 1

    async def receive() -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left == MESSAGES:
            return {"type": "websocket.connect"}
        return {"type": "websocket.receive", "text": "hello"} if left else {"type": "websocket.disconnect"}

    async def send(_message: Any) -> None:
        pass

    await app({"type": "websocket", "path": "/echo", "headers": []}, receive, send)


def wsgi_request() -> Operation:
    def app(_environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]

    measured: Any = app
    if settings.METRICS is not None:
        from metrics_app.wsgi import RequestMetrics  # noqa: PLC0415 - as above

        measured = RequestMetrics(app)

    def ask() -> None:
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/", "SCRIPT_NAME": ""}
        answer = measured(environ, lambda *_: None)
        list(answer)
        getattr(answer, "close", lambda: None)()

    return ask


OPERATIONS: dict[str, Callable[[], Operation]] = {
    function.__name__: function
    for function in (
        *(request, query, row, cache_read, task, command, observation, exemplar, utf8_name),
        *(message, wsgi_request),
    )
}


def configure(metrics: dict[str, Any] | None, directory: str) -> None:
    settings.configure(
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        INSTALLED_APPS=[
            "django.contrib.contenttypes",
            "django_tasks",
            *(["metrics_app"] if metrics is not None else []),
        ],
        MIDDLEWARE=["metrics_app.middleware.RequestMetricsMiddleware"] if metrics is not None else [],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}},
        TASKS={"default": {"BACKEND": "django_tasks.backends.immediate.ImmediateBackend"}},
        METRICS=None if metrics is None else {"DIRECTORY": directory, **metrics},
        LOGGING_CONFIG=None,
        USE_TZ=True,
    )
    django.setup()
    logging.disable()  # nobody's time goes into lines about tasks


def seconds_for(operation: Operation, times: int) -> float:
    start = thread_time()
    for _ in range(times):
        operation()
    return thread_time() - start


def find_times(operation: Operation) -> int:
    """How often it is carried out in a round."""
    once = min(seconds_for(operation, 3) / 3 for _ in range(5))
    return max(1, int(SECONDS_A_ROUND / once))


def main() -> None:
    name, *given = sys.argv[1:]
    # All on one processor: those of a machine may differ in pace.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as directory:
        configure(json.loads(given[0]) if given else None, directory)
        operation = OPERATIONS[name]()
        times = find_times(operation)
        for _ in sys.stdin:
            print(seconds_for(operation, times) / times * 1e6, flush=True)


if __name__ == "__main__":
    main()
