"""The first command on a machine that has Python alone. Real venv and pip; the packages are small ones."""

import hashlib
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.coordinator import PROJECT

pytestmark = pytest.mark.slow

# A stand-in that can be installed without an index: it tells from where Django was imported.
DJANGO = {
    "django/__init__.py": "",
    "django/core/__init__.py": "",
    "django/core/exceptions.py": "class ImproperlyConfigured(Exception): ...",
    "django/core/management.py": "import sys\n"
    "def execute_from_command_line(argv): print(argv[1], sys.prefix)",
    "django-0.dist-info/METADATA": "Metadata-Version: 2.1\nName: django\nVersion: 0\n",
    "django-0.dist-info/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    "django-0.dist-info/RECORD": "",
}
FIRST_FILES = (
    "manage.py",
    "coordinator_client/__init__.py",
    "coordinator_client/errors.py",
    "coordinator_client/version.py",
    "coordinator_site/__init__.py",
    "coordinator_site/fresh_machine.py",
)
NO_VENV = "import sys; sys.modules['ensurepip'] = None; sys.argv = ['manage.py', 'up']; "
# Without its site-packages, for a developer's Python may have Django.
PYTHON = [str(getattr(sys, "_base_executable", sys.executable)), "-S"]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The files that the first command needs, and requirements that need no index."""
    wheel = tmp_path / "django-0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in DJANGO.items():
            archive.writestr(name, content)
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    folder = tmp_path / "clone"
    for name in FIRST_FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)
    (folder / "requirements.txt").write_text(f"{wheel.as_uri()} --hash=sha256:{digest}\n")
    return folder


def begin(clone: Path, *command: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*PYTHON, *(command or ("manage.py", "check"))],
        cwd=clone,
        env={"PATH": "/usr/bin:/bin", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def taken_port() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        yield str(holder.getsockname()[1])


def test_the_first_command_builds_the_environment_and_the_next_installs_nothing(
    clone: Path, taken_port: str
) -> None:
    """Only `up` looks at its port."""
    output, errors = begin(clone, "manage.py", "check", PORT=taken_port).communicate(timeout=300)
    assert output == f"check {clone / '.venv'}\n", errors
    assert "Installing requirements.txt" in errors
    output, errors = begin(clone).communicate(timeout=300)
    assert (output, errors) == (f"check {clone / '.venv'}\n", "")


def test_two_first_commands_at_once_both_work_and_install_once(clone: Path) -> None:
    ended = [process.communicate(timeout=300) for process in [begin(clone), begin(clone)]]
    assert [output for output, _ in ended] == [f"check {clone / '.venv'}\n"] * 2
    assert "".join(errors for _, errors in ended).count("Installing") == 1


def test_a_first_command_that_was_killed_half_way_can_be_repeated(clone: Path) -> None:
    first = begin(clone)
    assert first.stderr is not None
    assert "Installing" in first.stderr.readline()
    first.kill()
    first.communicate()
    output, errors = begin(clone).communicate(timeout=300)
    assert output == f"check {clone / '.venv'}\n", errors


def test_a_package_that_is_not_the_one_that_was_locked_is_refused(clone: Path) -> None:
    requirements = clone / "requirements.txt"
    requirements.write_text(requirements.read_text().replace("sha256:", "sha256:0")[:-2] + "\n")
    process = begin(clone)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    assert output == ""
    assert "You can repeat the command" in errors


def test_a_python_without_venv_prints_what_to_install(clone: Path) -> None:
    process = begin(clone, "-c", f"{NO_VENV}from manage import main; main()")
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (1, "")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt-get install python{version}-venv" in errors


@pytest.mark.parametrize("way", ["--port N", "--port=N", "PORT", ".env"])
def test_a_port_in_use_is_reported_before_anything_is_installed(
    clone: Path, taken_port: str, way: str
) -> None:
    words = [word.replace("N", taken_port) for word in way.split() if way.startswith("--")]
    if way == ".env":
        (clone / ".env").write_text(f"DEBUG=false\nPORT={taken_port}\n")
    more = {"PORT": taken_port} if way == "PORT" else {}
    process = begin(clone, "manage.py", "up", *words, **more)
    output, errors = process.communicate(timeout=300)
    assert (process.returncode, output) == (1, "")
    assert f"Port {taken_port} is in use" in errors
    assert not (clone / ".venv").exists()
