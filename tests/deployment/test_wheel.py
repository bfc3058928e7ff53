"""The coordinator as its wheel, in an empty environment, without the repository."""

import configparser
import signal
import subprocess
import tarfile
import tomllib
import urllib.request
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from coordinator_site import __version__
from tests.servers.coordinator import LOCAL_PORTS, PROJECT, read_until
from tests.servers.distributions import CLIENT, METRICS, EmptyEnvironment, build_distributions
from tests.servers.loopback import free_port

PACKAGES = ("coordinator_site", "injector", "scenarios")
BESIDE = ("manage.py", "gunicorn.conf.py", "deploy/prometheus/prometheus.yml", "docs/tutorial.md")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    build_distributions(folder, PROJECT)
    for project in (CLIENT, METRICS):
        build_distributions(folder, project, "--wheel")
    return folder


def list_files() -> set[str]:
    """The files of the packages, as they are in the repository."""
    files = (path for name in PACKAGES for path in (PROJECT / name).rglob("*") if path.is_file())
    return {str(path.relative_to(PROJECT)) for path in files if "__pycache__" not in path.parts}


def test_the_wheel_has_every_file_of_the_packages_and_nothing_else(distributions: Path) -> None:
    [wheel] = distributions.glob("test_coordinator-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    beside = {name for name in names if name.startswith("coordinator_site/installed/")}
    assert names - beside == list_files()
    assert {f"coordinator_site/installed/{name}" for name in BESIDE} <= beside


def test_the_wheel_needs_the_clients_and_the_metrics_of_its_own_release(distributions: Path) -> None:
    [wheel] = distributions.glob("test_coordinator-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    assert metadata["Version"] == __version__
    required = metadata.get_all("Requires-Dist") or []
    version = tomllib.loads((METRICS / "pyproject.toml").read_text())["project"]["version"]
    assert f"test-coordinator-client=={__version__}" in required
    assert read_scripts(wheel) == read_scripts(next(distributions.glob("test_coordinator_client-*.whl")))
    assert f"django-exact-metrics[opentelemetry,prometheus]=={version}" in required


def read_scripts(wheel: Path) -> dict[str, str]:
    """The programs that it installs. pipx shows those of the package itself, and no others."""
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("/entry_points.txt")]
        parser = configparser.ConfigParser()
        parser.read_string(archive.read(name).decode())
    return dict(parser["console_scripts"])


def test_the_source_distribution_has_what_builds_the_wheel(distributions: Path) -> None:
    [source] = distributions.glob("test_coordinator-*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert list_files() | set(BESIDE) | {"pyproject.toml", "LICENSE", "CHANGELOG.md"} <= names


def test_an_installed_coordinator_becomes_ready_and_runs_its_first_scenario(
    distributions: Path, tmp_path: Path
) -> None:
    installed = EmptyEnvironment(tmp_path / "venv")
    # By their files, because an index may have packages of these names. Compiled, because otherwise its
    # processes would compile everything within the time in which it must be ready.
    installed.install("--compile-bytecode", *map(str, distributions.glob("*.whl")))
    port = free_port()
    environment = {
        "PATH": f"{installed.programs}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PYTHONUNBUFFERED": "1",
        **{name: str(free_port()) for name in LOCAL_PORTS},
    }

    def run(*words: str) -> str:
        command = [str(installed.programs / "test-coordinator"), *words]
        done = subprocess.run(
            command, env=environment, cwd="/", capture_output=True, text=True, check=False, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert run("--version") == f"test-coordinator {__version__}\n"
    assert "The server is installed, too" in run("--help")
    command = [str(installed.programs / "test-coordinator"), "up", "--port", str(port)]
    with subprocess.Popen(command, env=environment, cwd="/", stdout=subprocess.PIPE, text=True) as up:
        try:
            said = read_until(up.stdout, "Serving")
            assert "PASSED" in said
            for path in ("/admin/login/", "/static/scenarios/page.js", "/api/v1/ready"):
                with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=120) as answer:
                    assert answer.status == 200
            assert "exchange-latency" in run("scenario", "list")
        finally:
            up.send_signal(signal.SIGTERM)
            assert up.wait(300) == 0
    assert (tmp_path / ".local" / "share" / "test-coordinator" / "coordinator.sqlite3").exists()
    assert not list((tmp_path / "venv").rglob("var"))
