"""A real nginx for tests, from Debian's package, with a configuration from the guide."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import is_listening, wait_for

PROGRAM = "nginx"
AROUND = """
{user}
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log off;
    {temporary}
    {servers}
}}
"""
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, servers: str, *ports: int) -> Iterator[None]:
    """Run it with these `server` blocks, which listen on these ports."""
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in KINDS)
    user = "user root;" if os.geteuid() == 0 else ""  # it must read the test's own folder
    config = folder / "nginx.conf"
    config.write_text(AROUND.format(user=user, folder=folder, temporary=temporary, servers=servers))
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-p", folder, "-c", config], stdout=log, stderr=log)
    try:
        for port in ports:
            wait_for(lambda: process.poll() is not None or is_listening(port), what="nginx listens")  # noqa: B023
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(300)
