"""A new, independent Django project: its environment, its files, its server."""

import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import free_port, wait_for

THREE_LINES = {
    "settings.py": """
INSTALLED_APPS += ["metrics_app"]
MIDDLEWARE.insert(0, "metrics_app.middleware.RequestMetricsMiddleware")
""",
    "urls.py": """
from django.urls import include
urlpatterns += [path("metrics", include("metrics_app.urls"))]
""",
}


def find_python(version: str) -> str | None:
    """An interpreter of this version that works; the one of the tests where any will do."""
    named = f"python{version}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    of_pyenv = [str(path) for path in pyenv.glob(f"{version}.*/bin/{named}")]
    ask = "import sys; print('%d.%d' % sys.version_info[:2])"
    for place in (sys.executable, shutil.which(named), *of_pyenv):
        if place is None:
            continue
        answer = subprocess.run([place, "-c", ask], capture_output=True, text=True, check=False)
        if answer.stdout.strip() == version:
            return place
    return None


class Project:
    """A fresh project in an environment that has what a stranger installs, and nothing of ours."""

    def __init__(self, folder: Path, python: str, *packages: str) -> None:
        environment = folder / "venv"
        self._bin = environment / "bin"
        # Where a process of the stranger's keeps what nobody told it to keep elsewhere.
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        self._variables = {"PATH": f"{self._bin}:/usr/bin:/bin", "TMPDIR": str(self.temporary)}
        self._uv("venv", "--python", python, str(environment))
        self._uv("pip", "install", "--python", str(self._bin / "python"), *packages)
        self.run(folder, "django-admin", "startproject", "shop")
        self.folder = folder / "shop"

    def append(self, additions: dict[str, str]) -> None:
        """Add lines to files of the project's package."""
        for name, lines in additions.items():
            path = self.folder / "shop" / name
            with path.open("a") as file:
                file.write(lines)

    def run(self, folder: Path, *command: str) -> str:
        done = subprocess.run(
            [self._bin / command[0], *command[1:]],
            cwd=folder,
            env=self._variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def manage(self, *command: str) -> str:
        return self.run(self.folder, "python", "-W", "error", "manage.py", *command)

    @contextmanager
    def served(self, *options: str) -> Iterator[int]:
        """The port on which gunicorn serves it with two workers."""
        port = free_port()
        address = f"127.0.0.1:{port}"
        log = self.folder / "gunicorn.log"
        command = [str(self._bin / "gunicorn"), "-w", "2", "-b", address, *options, "shop.wsgi"]
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, cwd=self.folder, env=self._variables, stdout=output, stderr=output
            )
        try:
            wait_for(lambda: answers(port), what=f"gunicorn answers; {log}", seconds=300)
            yield port
        finally:
            process.terminate()
            process.wait(300)

    def _uv(self, *arguments: str) -> None:
        command = [
            sys.executable,
            "-m",
            "uv",
            "--quiet",
            "--system-certs",
            "--no-python-downloads",
            *arguments,
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
