"""A container engine for tests: Debian's dockerd or Podman, with a network, a socket and a folder of its own.

Its image has busybox alone. Everything ends with the process that started it.
"""

import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from injector.host.engine import Engine, open_unix
from tests.servers import network_namespaces
from tests.servers.loopback import wait_for

IMAGE = "shop:1"
PORT = 8000
SERVE = (
    "sh",
    "-c",
    f"mkdir -p /www && echo fine >/www/index.html && exec busybox httpd -f -p {PORT} -h /www",
)
APPLETS = ("sh", "mkdir", "echo", "httpd", "sleep", "true", "false", "cat", "nslookup", "wget")
SHOP = {"role": "shop"}
# Podman would otherwise ask for more than some kernels allow.
LIMITS = [{"Name": name, "Soft": 1024, "Hard": 4096} for name in ("nofile", "nproc")]
# If the process that has started the engine is killed, the engine ends with its containers and its folder.
# Its images are in memory: to delete their thousands of files from a busy disk takes minutes.
KEEPER = """
mkdir "$0/data" && mount -t tmpfs tmpfs "$0/data"
ip link set lo up
"$@" &
trap "kill $!" TERM
wait $! || wait $!
umount --lazy "$0/data"
rm --recursive --force --one-file-system "$0"
"""
# The containers of Podman are processes of nobody, so they must be ended one by one. So must what has
# watched a command in a container, which would wait for minutes for somebody who asks how that ended.
KEEPER_OF_PODMAN = """
mkdir "$0/data" && mount -t tmpfs tmpfs "$0/data"
mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns
ip link set lo up
"$@" system service --time 0 "unix://$0/engine.sock" &
trap "kill $!" TERM
wait $! || wait $!
"$@" rm --all --force --time 0
for process in /proc/[0-9]*; do
    case "$(readlink "$process/exe")" in
        */conmon) grep --quiet "$0/" "$process/cmdline" && kill -KILL "${process#/proc/}" ;;
    esac
done
umount --lazy "$0/data" "$0/run" 2>/dev/null
rm --recursive --force --one-file-system "$0"
"""
# Its locks and its state in memory would otherwise be those of the machine's own Podman. Debian's crun cannot
# use the control groups of all machines.
PODMAN_CONFIGURATION = """
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
lock_type = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
default_subnet = "10.198.0.0/24"
default_subnet_pools = [{{"base" = "10.198.16.0/20", "size" = 24}}]
"""


@lru_cache(maxsize=1)
def can_be_had() -> bool:
    programs = ("dockerd", "containerd", "runc", "iptables", "busybox", "setpriv", "unshare")
    return all(map(shutil.which, programs)) and network_namespaces.can_be_had()


@lru_cache(maxsize=1)
def can_have_podman() -> bool:
    programs = ("podman", "conmon", "runc", "iptables", "busybox", "setpriv", "unshare")
    networks = (Path("/usr/lib/podman") / name for name in ("netavark", "aardvark-dns"))
    has_programs = all(map(shutil.which, programs)) and all(program.exists() for program in networks)
    return has_programs and network_namespaces.can_be_had()


class ContainerEngine:
    """`url` is for CONTAINER_ENGINES."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.pid = 0
        self.podman_words: tuple[str, ...] = ()
        self.socket = folder / "engine.sock"
        self.url = f"unix://{self.socket}"
        self.api = Engine("test", open_unix(str(self.socket)))

    @property
    def inside(self) -> tuple[str, ...]:
        """The words before a command that is to reach the containers; its process id stays the same."""
        return ("nsenter", f"--net=/proc/{self.pid}/ns/net", "--")

    @property
    def podman(self) -> tuple[str, ...]:
        """Podman's own command, for this engine."""
        spaces = [f"--{name}=/proc/{self.pid}/ns/{kind}" for name, kind in (("net", "net"), ("mount", "mnt"))]
        return ("nsenter", *spaces, "--", *self.podman_words)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The content of the answer, which must be a success."""
        answer = self.api.ask(method, path, body, seconds=300.0)
        assert answer.status < 400, (method, path, answer)
        return answer.content

    def run(
        self,
        name: str,
        *command: str,
        labels: Mapping[str, str] | None = None,
        image: str = IMAGE,
        network: str = "",
        more: Mapping[str, Any] | None = None,
        **host: Any,
    ) -> str:
        """Start a container; its id. `host` are words of HostConfig, `more` those beside it."""
        body = {
            "Image": image,
            "Cmd": list(command or SERVE),
            "Labels": dict(labels or {}),
            "StopTimeout": 1,
            "HostConfig": {"NetworkMode": network or "none", "Ulimits": LIMITS, **host},
            **(more or {}),
        }
        created = self.ask("POST", f"/containers/create?name={quote(name)}", body)
        self.ask("POST", f"/containers/{created['Id']}/start")
        return str(created["Id"])

    def inspect(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/containers/{quote(name)}/json")
        return found

    def read_state(self, name: str) -> str:
        return str(self.inspect(name)["State"]["Status"])

    def is_running(self, name: str) -> bool:
        return self.read_state(name) == "running"

    def list_names(self) -> list[str]:
        return [one["Names"][0].lstrip("/") for one in self.ask("GET", "/containers/json?all=1")]

    def find(self, label: str) -> str:
        """The id of the one container that runs and has this label."""
        (found,) = self.ask("GET", f"/containers/json?filters={quote(json.dumps({'label': [label]}))}")
        return str(found["Id"])

    def remove(self, name: str) -> None:
        self.api.ask("DELETE", f"/containers/{quote(name)}?force=1&v=1", seconds=300.0)

    def remove_all(self) -> None:
        for one in self.ask("GET", "/containers/json?all=1"):
            self.api.ask("POST", f"/containers/{one['Id']}/unpause", seconds=300.0)
            self.remove(one["Id"])

    def import_image(self, name: str, archive: bytes, *changes: str) -> None:
        """As `docker import - NAME`; `changes` are instructions of a Dockerfile."""
        if self.podman_words:  # its API would ignore the tag
            options = [word for change in changes for word in ("--change", change)]
            command = [*self.podman, "import", "--quiet", *options, "-", name]
            subprocess.run(command, input=archive, stdout=subprocess.DEVNULL, check=True, timeout=600)
            return
        repository, _, tag = name.partition(":")
        words = [("fromSrc", "-"), ("repo", repository), ("tag", tag or "latest")]
        path = f"/images/create?{urlencode([*words, *(('changes', change) for change in changes)])}"
        self._exchange("POST", path, archive, "application/x-tar")

    def load_image(self, archive: bytes) -> None:
        """As `docker load`."""
        self._exchange("POST", "/images/load", archive, "application/x-tar")

    def run_inside(self, name: str, *command: str) -> str:
        """What the command writes in the container."""
        words = {"AttachStdout": True, "AttachStderr": True, "Tty": True}
        made = self.ask("POST", f"/containers/{quote(name)}/exec", {"Cmd": list(command), **words})
        body = json.dumps({"Detach": False, "Tty": True}).encode()
        return self._exchange("POST", f"/exec/{made['Id']}/start", body, "application/json")

    def read_text(self, path: str) -> str:
        return self._exchange("GET", path, b"", "application/json")

    def _exchange(self, method: str, path: str, body: bytes, kind: str) -> str:
        connection = open_unix(str(self.socket))(900.0)
        try:
            connection.request(method, path, body, {"Content-Type": kind})
            response: http.client.HTTPResponse = connection.getresponse()
            said = response.read().decode("utf-8", "replace")
        finally:
            connection.close()
        assert response.status == 200, said
        return said

    def answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(5)
            if probe.connect_ex(str(self.socket)) != 0:
                return False
        with suppress(Exception):
            return self.api.ask("GET", "/version", seconds=5.0).status == 200
        return False


def build_image() -> bytes:
    """A root file system: one static program under the names of the commands that it has."""
    program = shutil.which("busybox")
    assert program is not None, "busybox is not installed: apt-get install busybox-static"
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for folder in ("bin", "etc", "tmp", "proc", "sys", "dev"):
                entry = tarfile.TarInfo(folder)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            archive.add(program, "bin/busybox")
            for name in APPLETS:
                link = tarfile.TarInfo(f"bin/{name}")
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(link)
        return file.getvalue()


@contextmanager
def docker_engine(**options: str) -> Iterator[ContainerEngine]:
    """dockerd, without rules of its own in this machine's network and without mounts in its name space.

    `options` are those of its command line, with underscores.
    """
    # Not in a folder of pytest: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as text:
        engine = ContainerEngine(Path(text))
        with _process(engine, *_build_command(engine, options)):
            engine.import_image(IMAGE, build_image())
            yield engine


@contextmanager
def podman_engine(storage_driver: str = "vfs") -> Iterator[ContainerEngine]:
    """Podman's service, as `docker_engine`."""
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as text:
        engine = ContainerEngine(Path(text))
        with _process(engine, *_build_command_of_podman(engine, storage_driver)):
            # What it takes a short name for.
            engine.import_image(f"docker.io/library/{IMAGE}", build_image())
            yield engine


def _build_command_of_podman(engine: ContainerEngine, storage_driver: str) -> list[str]:
    folder = engine.folder
    configuration = folder / "containers.conf"
    configuration.write_text(PODMAN_CONFIGURATION.format(folder=folder))
    (folder / "networks").mkdir()
    options = {
        "root": folder / "data",
        "runroot": folder / "run",
        "tmpdir": folder / "tmp",
        "storage-driver": storage_driver,
        "log-level": "warn",
    }
    podman = ["podman", *(f"--{name}={value}" for name, value in options.items())]
    # What it unpacks and does not delete goes with the folder.
    environment = ("env", f"CONTAINERS_CONF={configuration}", f"TMPDIR={folder}")
    engine.podman_words = (*environment, *podman)
    return [*environment, *_begin(KEEPER_OF_PODMAN), str(folder), *podman]


def _begin(keeper: str) -> list[str]:
    """The words before a command in a network and with mounts of its own, which ends with this process."""
    return ["setpriv", "--pdeathsig", "TERM", "--", "unshare", "--net", "--mount", "--", "sh", "-c", keeper]


def _build_command(engine: ContainerEngine, more: Mapping[str, str]) -> list[str]:
    folder = engine.folder
    (folder / "daemon.json").write_text("{}")
    options = {
        "config-file": folder / "daemon.json",
        "data-root": folder / "data",
        "exec-root": folder / "run",
        "pidfile": folder / "docker.pid",
        "host": engine.url,
        "storage-driver": "vfs",
        "log-level": "warn",
        "shutdown-timeout": "5",
        "bip": "10.199.0.1/24",
        "default-address-pool": "base=10.199.16.0/20,size=24",
        **{name.replace("_", "-"): value for name, value in more.items()},
    }
    command = [*_begin(KEEPER), str(folder), "dockerd"]
    return [*command, *(f"--{name}={value}" for name, value in options.items())]


@contextmanager
def _process(engine: ContainerEngine, *command: str) -> Iterator[None]:
    log = engine.folder / "engine.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/", start_new_session=True)
    engine.pid = process.pid
    try:
        wait_for(lambda: process.poll() is not None or engine.answers(), what="the engine answers")
        assert process.poll() is None, log.read_text()[-4000:]
        yield
    finally:
        with suppress(Exception):
            engine.remove_all()
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(300)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
