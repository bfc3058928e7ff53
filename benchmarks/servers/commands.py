"""The site, the tasks, and how each server is started with them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

SITE = """
import os
import django
from django.conf import settings
from django.http import HttpResponse
from django.urls import path

def home(request):
    return HttpResponse(b"ok" * 2000)

urlpatterns = [path("", home, name="home")]
settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["metrics_app"],
    MIDDLEWARE=["metrics_app.middleware.RequestMetricsMiddleware"],
    METRICS={"DIRECTORY": os.environ["METRICS"], "TASKS": True},
    LOGGING_CONFIG=None,
    USE_TZ=True,
)
django.setup()
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
application, asgi = get_wsgi_application(), get_asgi_application()
"""
JOBS = """
import os, time
import counted_site
from celery import Celery

app = Celery("counted_jobs", broker=os.environ["REDIS_URL"])

@app.task(name="work")
def work(number):
    time.sleep(0.005)
    descriptor = os.open(os.environ["LINES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, b"%d\\n" % number)
    os.close(descriptor)
"""
GUNICORN = ("gunicorn", "--no-control-socket", "--workers=2", "--max-requests=400", "--log-level=critical")


class Server(NamedTuple):
    name: str
    needs: tuple[str, ...]
    """Modules."""
    command: tuple[str, ...]
    """Arguments of `python -m`; the port is put in for PORT."""
    reloads: bool = False


SERVERS = (
    *(
        Server(
            f"gunicorn, {kind}",
            ("gunicorn", *needs),
            (*GUNICORN, f"--worker-class={worker}", *options, "--bind=127.0.0.1:PORT", f"counted_site:{app}"),
            reloads=True,
        )
        for kind, needs, worker, options, app in (
            ("sync", (), "sync", (), "application"),
            ("gthread", (), "gthread", ("--threads=4",), "application"),
            ("gevent", ("gevent",), "gevent", (), "application"),
            ("ASGI worker", ("uvicorn_worker",), "uvicorn_worker.UvicornWorker", (), "asgi"),
        )
    ),
    Server(
        "uvicorn",
        ("uvicorn",),
        ("uvicorn", "--workers=2", "--port=PORT", "--log-level=critical", "counted_site:asgi"),
    ),
    *(
        Server(
            f"granian, {interface}",
            ("granian",),
            (
                *("granian", f"--interface={interface}", "--workers=2", "--port=PORT", "--no-log"),
                *("--respawn-failed-workers", "--respawn-interval=0.1", f"counted_site:{app}"),
            ),
        )
        for interface, app in (("wsgi", "application"), ("asginl", "asgi"))
    ),
    Server(
        "hypercorn",
        ("hypercorn",),
        (
            *("hypercorn", "--workers=2", "--max-requests=400", "--bind=127.0.0.1:PORT"),
            *("--log-level=critical", "counted_site:asgi"),
        ),
        reloads=True,
    ),
    Server(
        "uWSGI",
        ("uwsgi",),
        (
            *("uwsgi", "--master", "--processes=2", "--need-app", "--disable-logging", "--die-on-term"),
            *("--enable-threads", "--max-requests=400", "--http-socket=127.0.0.1:PORT"),
            "--module=counted_site",
        ),
        reloads=True,
    ),
)


def is_installed(python: str, modules: Sequence[str]) -> bool:
    # uWSGI's module is there within its server alone.
    code = "import sys, importlib.util as u, shutil; sys.exit(not all(map(u.find_spec, sys.argv[1:])))"
    if tuple(modules) == ("uwsgi",):
        return Path(python).with_name("uwsgi").exists()
    return subprocess.run([python, "-c", code, *modules], check=False).returncode == 0
