"""An installation's tables and first rows: written once by the real commands, and copied from then on.

Migrating an empty database takes four seconds of processor time, and a copy takes hardly any.
"""

import atexit
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from tests.servers.postgresql import programs

SQLITE_FILE = "coordinator.sqlite3"
# These decide, besides the code, what the commands write.
SETTINGS = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")
_copies: dict[tuple[str, ...], Path] = {}


def fill_database(
    data: Path, environment: Mapping[str, str], content: str, write: Callable[[], object]
) -> None:
    """Call `write`, or fill the empty database with what it wrote for the same `content` before."""
    url = environment.get("DATABASE_URL", "")
    settings = [environment.get(name, "") for name in SETTINGS]
    key = ("postgresql" if url else "sqlite", content, *settings)
    file = data / SQLITE_FILE
    if key not in _copies:
        write()
        _copies[key] = _copy_postgresql(url) if url else _copy_sqlite(file)
    elif url:
        _run("psql", "--quiet", "--no-psqlrc", "--single-transaction", "--file", _copies[key], url)
    else:
        assert not file.exists(), f"{file} is there already"
        data.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_copies[key], file)


def _copy_postgresql(url: str) -> Path:
    copy = _folder() / f"{len(_copies)}.sql"
    _run("pg_dump", "--file", copy, url)
    return copy


def _copy_sqlite(file: Path) -> Path:
    """The last process that closed the file has written its journal into it."""
    return Path(shutil.copyfile(file, _folder() / f"{len(_copies)}.sqlite3"))


def _run(program: str, *arguments: str | Path) -> None:
    found = programs()
    assert found is not None
    environment = {**os.environ, "PGOPTIONS": "--client-min-messages=warning"}
    subprocess.run(
        [found / program, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL, timeout=300
    )


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="coordinator-databases-")
    atexit.register(shutil.rmtree, folder)
    return Path(folder)
