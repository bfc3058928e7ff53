"""Images of this machine's own programs, under the names of those that compose.yaml takes from a registry.

They have folders alone: the programs are mounted from this machine, read-only.
"""

import io
import json
import pwd
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.servers.container_engine import ContainerEngine
from tests.servers.postgresql import programs

MOUNTS = ("/usr:/usr:ro",)
LINKS = ("bin", "lib", "lib64", "sbin")
FOLDERS = ("dev", "etc", "proc", "run", "sys", "usr", "var", "var/lib", "var/run")
USERS = ("etc/group", "etc/passwd")
# The interface of docker.io/library/postgres that compose.yaml uses.
POSTGRES = """\
set -eu
if [ ! -e "$PGDATA/PG_VERSION" ]; then
    printf %s "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata "$PGDATA" --username "$POSTGRES_USER" --pwfile /tmp/password --auth-host scram-sha-256 \\
        --encoding UTF8 --no-sync
    rm /tmp/password
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    printf 'CREATE DATABASE %s;\\n' "$POSTGRES_DB" | postgres --single -D "$PGDATA" postgres
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c fsync=off \\
    -c unix_socket_directories=/tmp,/var/run/postgresql
"""


class StandIn(NamedTuple):
    """`folders` with their owners."""

    image: str
    command: Sequence[str]
    folders: Mapping[str, str] = {}
    user: str = "root"
    environment: Mapping[str, str] = {}
    entrypoint: Sequence[str] = ()

    def describe(self) -> list[str]:
        """Its configuration, as instructions of a Dockerfile."""
        variables = [f"ENV {name}={value}" for name, value in self.environment.items()]
        begin = [f"ENTRYPOINT {json.dumps(self.entrypoint)}"] if self.entrypoint else []
        return [*variables, f"USER {self.user}", *begin, f"CMD {json.dumps(self.command)}"]


def list_stand_ins() -> dict[str, StandIn]:
    """By the names of the services in the compose files."""
    found = programs()
    assert found is not None, "PostgreSQL is not installed: apt-get install postgresql"
    data = "var/lib/postgresql/data"
    return {
        "postgres": StandIn(
            "docker.io/library/postgres:16-alpine",
            ["sh", "-c", POSTGRES],
            dict.fromkeys(("var/lib/postgresql", data, "var/run/postgresql"), "postgres"),
            "postgres",
            {"PATH": f"{found}:/usr/bin:/bin", "PGDATA": f"/{data}"},
        ),
        "prometheus": StandIn(
            "docker.io/prom/prometheus:v2.53.0",
            ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"],
            {"prometheus": "nobody"},
            "nobody",
        ),
        "alertmanager": StandIn(
            "docker.io/prom/alertmanager:v0.27.0",
            [
                "prometheus-alertmanager",
                "--config.file=/etc/alertmanager/alertmanager.yml",
                "--storage.path=/alertmanager",
            ],
            {"alertmanager": "nobody"},
            "nobody",
        ),
        "redis": StandIn(
            "docker.io/library/redis:7-alpine",
            ["redis-server"],
            # That image, too, answers other containers without a password.
            entrypoint=["sh", "-c", 'exec "$@" --protected-mode no', "sh"],
        ),
    }


def make_images(engine: ContainerEngine) -> None:
    for stand_in in list_stand_ins().values():
        engine.import_image(stand_in.image, _build_root(stand_in.folders), *stand_in.describe())


def mount_programs(services: Iterable[str]) -> dict[str, dict[str, list[str]]]:
    """What a further compose file says of these services, so that their images have programs."""
    return {name: {"volumes": list(MOUNTS)} for name in services if name in list_stand_ins()}


def _build_root(folders: Mapping[str, str]) -> bytes:
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name, owner in {**dict.fromkeys(FOLDERS, "root"), **folders, "tmp": "root"}.items():
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                entry.uid, entry.gid = pwd.getpwnam(owner)[2:4]
                archive.addfile(entry)
            for name in LINKS:
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
                archive.addfile(link)
            # An engine looks users up in the image, not in what is mounted.
            for name in USERS:
                archive.add(Path("/") / name, name)
        return file.getvalue()
