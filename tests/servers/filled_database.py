"""An installation's tables and first rows: written once by the real commands, and copied from then on.

Migrating an empty database takes four seconds of processor time, and a copy takes hardly any. The processes
of one test run share the copies.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.servers.postgresql import programs
from tests.servers.shared_copies import find_folder, locked

SQLITE_FILE = "coordinator.sqlite3"
# These decide, besides the code, what the commands write.
SETTINGS = ("DJANGO_SETTINGS_MODULE", "PYTHONPATH")


def fill_database(
    data: Path, environment: Mapping[str, str], content: str, write: Callable[[], object]
) -> None:
    """Call `write`, or fill the empty database with what it wrote for the same `content` before."""
    url = environment.get("DATABASE_URL", "")
    settings = [environment.get(name, "") for name in SETTINGS]
    key = "\n".join(["postgresql" if url else "sqlite", content, *settings])
    kept = find_folder() / hashlib.sha256(key.encode()).hexdigest()
    with locked(kept):
        is_new = not kept.exists()
        if is_new:
            write()
            _keep(data, url, kept)
    if is_new:
        return
    if url:
        _run("psql", "--quiet", "--no-psqlrc", "--single-transaction", "--file", kept, url)
        return
    file = data / SQLITE_FILE
    assert not file.exists(), f"{file} is there already"
    data.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(kept, file)


def _keep(data: Path, url: str, kept: Path) -> None:
    """Under its name only when it is complete: a test may be stopped in the middle."""
    unfinished = kept.with_suffix(".unfinished")
    if url:
        _run("pg_dump", "--file", unfinished, url)
    else:
        # The last process that closed the file has written its journal into it.
        shutil.copyfile(data / SQLITE_FILE, unfinished)
    unfinished.rename(kept)


def _run(program: str, *arguments: str | Path) -> None:
    found = programs()
    assert found is not None
    environment = {**os.environ, "PGOPTIONS": "--client-min-messages=warning"}
    subprocess.run(
        [found / program, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL, timeout=300
    )
