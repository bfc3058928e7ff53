"""django-prometheus counts exactly as soon as this app is installed beside it, and can then be replaced."""

import http.client
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.exposition import value
from tests.servers.loopback import free_port, is_listening, wait_for

ROOT = Path(__file__).resolve().parents[3]
REQUESTS = 60
MAX_REQUESTS = 15
"""After so many a worker is replaced."""

SITE = """
import os
from django.http import HttpResponse
from django.urls import include, path

SECRET_KEY = "made up"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "site_of_test"
INSTALLED_APPS = ["django_prometheus", "metrics_app"]
MIDDLEWARE = [
    "django_prometheus.middleware.PrometheusBeforeMiddleware",
    "django_prometheus.middleware.PrometheusAfterMiddleware",
]
METRICS = {"DIRECTORY": os.environ["DIRECTORY_OF_TEST"]}
urlpatterns = [
    path("", lambda request: HttpResponse("ok"), name="home"),
    path("metrics", include("metrics_app.urls")),
]
"""
APPLICATION = """
import os
os.environ["DJANGO_SETTINGS_MODULE"] = "site_of_test"
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
asgi, wsgi = get_asgi_application(), get_wsgi_application()
"""
GUNICORN = ["gunicorn", "--workers", "2", "--max-requests", str(MAX_REQUESTS), "--no-control-socket"]
SERVERS = {
    "gunicorn": [*GUNICORN, "application_of_test:wsgi"],
    "gunicorn --preload": [*GUNICORN, "--preload", "application_of_test:wsgi"],
    "uvicorn": [
        "uvicorn",
        "--workers",
        "2",
        "--limit-max-requests",
        str(MAX_REQUESTS),
        "application_of_test:asgi",
    ],
}


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """django-prometheus and uvicorn, beside what the tests have."""
    target = tmp_path_factory.mktemp("packages")
    wanted = ["django-prometheus", "uvicorn", "h11", "click"]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        target,
        *wanted,
    ]
    subprocess.run(command, check=True)
    (target / "site_of_test.py").write_text(SITE)
    (target / "application_of_test.py").write_text(APPLICATION)
    return target


def get(port: int, path: str) -> tuple[bytes, int]:
    """The answer, and how often it was asked for: again where a worker was being replaced."""
    answers: list[bytes] = []
    asked = 0

    def answered() -> bool:
        nonlocal asked
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        with suppress(ConnectionError, http.client.HTTPException), closing(connection):
            connection.connect()
            asked += 1
            connection.request("GET", path, headers={"Connection": "close"})
            response = connection.getresponse()
            answers.append(response.read())
            assert response.status == 200, answers[-1]
        return bool(answers)

    wait_for(answered, what=f"GET {path} is answered")
    return answers[0], asked


@contextmanager
def served(server: str, packages: Path, directory: Path) -> Iterator[int]:
    port = free_port()
    name, *options = SERVERS[server]
    address = ["--bind", f"127.0.0.1:{port}"] if name == "gunicorn" else ["--port", str(port)]
    with running([name, *address, *options], packages, DIRECTORY_OF_TEST=str(directory)):
        yield port


@contextmanager
def running(command: list[str], packages: Path, **variables: str) -> Iterator[None]:
    """The words of a command after `python -m`."""
    environment = {name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=packages,
        env={**environment, "PYTHONPATH": f"{packages}:{ROOT}", **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(300)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("server", SERVERS)
def test_requests_are_counted_while_workers_are_replaced(packages: Path, tmp_path: Path, server: str) -> None:
    asked = 0
    with served(server, packages, tmp_path / "metrics") as port:
        for _ in range(REQUESTS):
            body, times = get(port, "/")
            assert body == b"ok"
            asked += times
        text, _ = get(port, "/metrics")
    for name in (
        "requests_total_by_view_transport_method_total",
        "requests_latency_seconds_by_view_method_count",
    ):
        assert REQUESTS <= value(text, f"django_http_{name}", view="home") <= asked
    # As many as ran at once, and those that were there before the ones that they replace were gone.
    assert len(list((tmp_path / "metrics").glob("counter_library-*.db"))) <= 4


# Of django-prometheus and of this app by its own names: the metric, its labels, and what it shows in the end.
DASHBOARD = [
    (
        ("django_http_requests_total_by_view_transport_method_total", {"view": "index", "method": "GET"}),
        ("http_requests_total", {"route": "index", "method": "GET"}),
        2,
    ),
    (
        ("django_http_responses_total_by_status_view_method_total", {"view": "index", "method": "POST"}),
        ("http_requests_total", {"route": "index", "method": "POST", "code": "200"}),
        1,
    ),
    (
        ("django_http_responses_total_by_status_total", {"status": "404"}),
        ("http_requests_total", {"code": "404"}),
        1,
    ),
    (
        ("django_http_requests_latency_seconds_by_view_method_count", {"view": "newlawn"}),
        ("http_request_duration_seconds_count", {"route": "newlawn"}),
        2,
    ),
    (
        ("django_http_exceptions_total_by_type_total", {"type": "ValueError"}),
        ("http_exceptions_total", {"type": "ValueError"}),
        1,
    ),
    (
        ("django_model_inserts_total", {"model": "lawn"}),
        ("model_rows_total", {"model": "migrated_site.Lawn", "operation": "insert"}),
        2,
    ),
    (
        ("django_cache_get_hits_total", {"backend": "filebased"}),
        ("cache_reads_total", {"alias": "default", "outcome": "hit"}),
        1,
    ),
    (
        ("django_cache_get_misses_total", {"backend": "filebased"}),
        ("cache_reads_total", {"alias": "default", "outcome": "miss"}),
        1,
    ),
]
REQUESTS_OF_STEP = [
    *[("GET", "/", 200)] * 2,
    ("POST", "/", 200),
    ("GET", "/missing", 404),
    ("GET", "/objection", 500),
    *[("GET", "/newlawn/paris", 200)] * 2,
    *[("GET", "/cached", 200)] * 2,
]


def ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=300)) as connection:
        connection.request(method, path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read()


def scrape_step(step: int, packages: Path, folder: Path) -> bytes:
    """What is exposed after the requests; by itself django-prometheus counts right in one worker only."""
    with closing(sqlite3.connect(folder / "lawns.sqlite3")) as database:
        database.execute("CREATE TABLE lawn (id integer PRIMARY KEY, location text)")
    port = free_port()
    workers = ["--workers", "2" if step else "1", "--no-control-socket", "--bind", f"127.0.0.1:{port}"]
    settings = "tests.servers.migrated_site.settings"
    variables = {"STEP_OF_TEST": str(step), "DIRECTORY_OF_TEST": str(folder)}
    command = ["gunicorn", *workers, "django.core.wsgi:get_wsgi_application()"]
    with running(command, packages, DJANGO_SETTINGS_MODULE=settings, **variables):
        wait_for(lambda: is_listening(port), what=f"the project listens at step {step}")
        for method, path, expected in REQUESTS_OF_STEP:
            status, answer = ask(port, method, path)
            assert status == expected, (step, path, answer)
        return ask(port, "GET", "/metrics")[1]


@pytest.mark.parametrize("step", range(4))
def test_a_dashboard_shows_the_same_at_each_step_of_the_guide(
    packages: Path, tmp_path: Path, step: int
) -> None:
    text = scrape_step(step, packages, tmp_path)
    asked = [own if step == 3 else theirs for theirs, own, _ in DASHBOARD]
    shown = [(name, labels, value(text, name, **labels)) for name, labels in asked]
    assert shown == [(*of, expected) for of, (*_, expected) in zip(asked, DASHBOARD, strict=True)]
