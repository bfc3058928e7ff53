"""django-prometheus's own middlewares count exactly as soon as this app is installed beside it."""

import http.client
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.exposition import value
from tests.servers.loopback import free_port, wait_for

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
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
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
    environment = {
        **{name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        "PYTHONPATH": f"{packages}:{ROOT}",
        "DIRECTORY_OF_TEST": str(directory),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", name, *address, *options],
        cwd=packages,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(300)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("server", SERVERS)
def test_what_was_asked_is_counted_while_workers_are_replaced(
    packages: Path, tmp_path: Path, server: str
) -> None:
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
