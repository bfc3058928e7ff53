"""The wheel and the source distribution of metrics_app hold the package, whole and typed."""

import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PACKAGE = ROOT / "metrics_app"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The wheel, built from the source distribution, and that."""
    folder = tmp_path_factory.mktemp("dist")
    command = [
        sys.executable,
        "-m",
        "uv",
        "--system-certs",
        "build",
        "--quiet",
        "--out-dir",
        str(folder),
        "./metrics_app",
    ]
    subprocess.run(command, cwd=ROOT, check=True, timeout=600)
    [wheel], [source] = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return wheel, source


def modules() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.py")}


def monitoring() -> set[str]:
    return {str(path.relative_to(ROOT)) for path in (PACKAGE / "monitoring").iterdir()}


def test_the_wheel_is_the_package_and_nothing_else(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert names == {*modules(), *monitoring(), "metrics_app/py.typed"}


def test_the_wheel_needs_django_alone(built: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        [name] = [name for name in wheel.namelist() if name.endswith("/METADATA")]
        metadata = Parser().parsestr(wheel.read(name).decode())
    assert metadata["Name"] == "django-exact-metrics"
    assert metadata["Requires-Python"] == ">=3.11"
    required = metadata.get_all("Requires-Dist") or []
    assert [line for line in required if "extra ==" not in line] == ["django>=4.2"]
    assert "prometheus-client>=0.20; extra == 'prometheus'" in required
    assert set(metadata.get_all("Provides-Extra") or []) == {"prometheus", "opentelemetry"}


def test_the_source_distribution_has_what_a_reader_needs(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {name.removeprefix("metrics_app/") for name in (*modules(), *monitoring())} <= names
    assert {"README.md", "CHANGELOG.md", "LICENSE", "py.typed", "pyproject.toml"} <= names
