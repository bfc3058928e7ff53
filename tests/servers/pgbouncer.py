"""A PgBouncer before a PostgreSQL server, which pools by transaction; it refuses to run as root."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import free_port, is_listening, wait_for

PROGRAM = "pgbouncer"
POOL_SIZE = 4
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server} user=coordinator
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 200
"""


def find_program() -> str | None:
    """Debian keeps it where only administrators look."""
    return shutil.which(PROGRAM, path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pgbouncer(url: str) -> Iterator[str]:
    """The address of the server's database behind it."""
    port = free_port()
    address, _, database = url.rpartition("/")
    server = address.rpartition(":")[2]
    program = find_program()
    assert program is not None, "PgBouncer is not installed: apt-get install pgbouncer"
    user = "postgres" if os.geteuid() == 0 else None
    # Not pytest's own folder: that one is closed to the other user.
    folder = Path(tempfile.mkdtemp(prefix="coordinator-pgbouncer-"))
    file = folder / "pgbouncer.ini"
    file.write_text(CONFIGURATION.format(server=server, port=port, pool_size=POOL_SIZE))
    folder.chmod(0o755)
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([program, file], user=user, stdout=log, stderr=log)
    try:
        wait_for(lambda: is_listening(port), what="PgBouncer listens")
        yield f"postgres://coordinator@127.0.0.1:{port}/{database}"
    finally:
        process.kill()  # what asks it to end waits for its clients
        process.wait()
        shutil.rmtree(folder)
