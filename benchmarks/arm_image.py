"""The image for ARM, made without emulation, then started in it: `python benchmarks/arm_image.py`.

Needs root, what the tests with the marker `compose` need, and qemu-user-static. Builds
deploy/container/cross.Dockerfile on a Debian for arm64 that is unpacked alone, and starts the image by qemu,
registered in this kernel meanwhile (/proc/sys/fs/binfmt_misc). Exits with 1 if a step misses its goal.
"""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.goals import Goals
from coordinator_site import __version__
from tests.servers import base_image
from tests.servers.compose_project import way_out
from tests.servers.container_engine import ContainerEngine, docker_engine
from tests.servers.coordinator import PROJECT
from tests.servers.loopback import wait_for

ARCHITECTURE, PLATFORM = "arm64", "linux/arm64"
BUILD_BASE, BASE, IMAGE = "base-of-this-machine:1", "base-of-arm64:1", "test-coordinator:arm64"
EMULATOR = "qemu-aarch64-static"
KERNEL = Path("/proc/sys/fs/binfmt_misc")
NAME = "test-coordinator-arm64"
# As qemu's own /usr/lib/binfmt.d/qemu-aarch64.conf. F: the program is opened now, outside the container.
MAGIC = r"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00"
MASK = r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff"
RIGHTS: dict[str, Any] = {"ReadonlyRootfs": True, "Tmpfs": {"/tmp": ""}, "CapDrop": ["ALL"]}  # noqa: S108 - in there
# gunicorn would end a worker that takes more than half a minute to load the site.
EMULATED = ["WEB_CONCURRENCY=1", "GUNICORN_CMD_ARGS=--timeout=1800"]
IMPORTS = "import aiohttp, platform, psycopg, pydantic, re2, yaml; print(platform.machine())"


def timed(action: Callable[[], object]) -> float:
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


def build_archive(name: str, root: bytes) -> bytes:
    """As of `docker save`: `docker import` takes every file system for one of this processor."""
    layer = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(root).hexdigest()}"]}
    described = {"architecture": ARCHITECTURE, "os": "linux", "config": {}, "rootfs": layer}
    manifest = [{"Config": "image.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {"image.json": described, "manifest.json": manifest}
    contents = {name: json.dumps(document).encode() for name, document in files.items()}
    with io.BytesIO() as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for path, content in {**contents, "layer.tar": root}.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
        return file.getvalue()


@contextmanager
def emulator() -> Iterator[None]:
    """This kernel starts programs of arm64 by qemu, in every container, until this ends."""
    program = shutil.which(EMULATOR)
    assert program is not None, f"{EMULATOR} is not installed: apt-get install qemu-user-static"
    is_mounted = (KERNEL / "register").exists()
    if not is_mounted:
        subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", str(KERNEL)], check=True)
    (KERNEL / "register").write_text(f":{NAME}:M::{MAGIC}:{MASK}:{program}:F")
    try:
        yield
    finally:
        (KERNEL / NAME).write_text("-1")
        if not is_mounted:
            subprocess.run(["umount", str(KERNEL)], check=True)


def build(engine: ContainerEngine, folder: Path) -> None:
    """By Compose, whose BuildKit is that of `docker build`."""
    dockerfile = {"context": str(PROJECT), "dockerfile": "deploy/container/cross.Dockerfile"}
    arguments = {"BASE": BASE, "BUILD_BASE": BUILD_BASE}
    service = {"image": IMAGE, "platform": PLATFORM, "build": {**dockerfile, "args": arguments}}
    file = folder / "arm64.json"
    file.write_text(json.dumps({"name": "arm64", "services": {"arm64": service}}))
    subprocess.run(
        ["docker-compose", f"--file={file}", "build"],
        env={**os.environ, "DOCKER_HOST": engine.url},
        check=True,
        timeout=1800,
    )


def look_at(goals: Goals, engine: ContainerEngine) -> None:
    found = engine.ask("GET", f"/images/{IMAGE}/json")
    goals.at_least("the image is for arm64", int(found["Architecture"] == ARCHITECTURE), 1)
    goals.at_most("  its size", found["Size"] / 2**20, 250, "MiB")
    goals.at_least("  its user is 10001", int(found["Config"]["User"] == "10001"), 1)


def run_inside(goals: Goals, engine: ContainerEngine) -> None:
    """Commands in the image, read-only and without rights, each in the emulator."""
    engine.run("commands", "sleep", "infinity", image=IMAGE, **RIGHTS)
    bill = json.loads(engine.run_inside("commands", "cat", "/opt/test-coordinator/sbom.cdx.json"))
    addresses = [component["purl"] for component in bill["components"]]
    debian = [address for address in addresses if address.startswith("pkg:deb/debian/libc6@")]
    goals.tell("packages in its bill of materials", len(addresses))
    goals.at_least("  libc6 is that of arm64", int(debian[0].endswith(f"arch={ARCHITECTURE}")), 1)
    expected = {
        "compiled packages are imported": (("python", "-c", IMPORTS), "aarch64"),
        "manage.py version": (("python", "manage.py", "version"), __version__),
        "manage.py check": (("python", "manage.py", "check"), "no issues"),
    }
    for what, (command, words) in expected.items():
        begun = time.monotonic()
        said = engine.run_inside("commands", *command)
        goals.at_least(f"{what}, in {time.monotonic() - begun:.0f} s", int(words in said), 1)
        if words not in said:
            print(said[-2000:], flush=True)
    engine.remove("commands")


def serve(goals: Goals, engine: ContainerEngine) -> None:
    """The image's own command answers."""
    engine.run("web", "gunicorn", image=IMAGE, network="bridge", more={"Env": EMULATED}, **RIGHTS)

    def is_healthy() -> bool:
        address = engine.inspect("web")["NetworkSettings"]["IPAddress"]
        ask = ("curl", "--silent", "--fail", "--max-time", "60", "--header", "Host: 127.0.0.1")
        url = f"http://{address}:8080/api/v1/health"
        done = subprocess.run([*engine.inside, *ask, url], capture_output=True, check=False, timeout=120)
        return done.returncode == 0

    wait = timed(lambda: wait_for(is_healthy, what="the web process answers", seconds=1800))
    goals.tell("web process started: /api/v1/health answers after", wait, "s")
    engine.remove("web")


def main() -> int:
    goals = Goals()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="arm64-")))
        engine = stack.enter_context(docker_engine(storage_driver="overlay2"))
        stack.enter_context(way_out(engine))
        goals.tell("a Debian for this machine made, to build on", timed(lambda: import_native(engine)), "s")
        goals.tell("a Debian for arm64 unpacked", timed(lambda: import_foreign(engine)), "s")
        goals.at_most("the image built", timed(lambda: build(engine, folder)), 600, "s")
        look_at(goals, engine)
        stack.enter_context(emulator())
        run_inside(goals, engine)
        serve(goals, engine)
    return goals.status


def import_native(engine: ContainerEngine) -> None:
    engine.import_image(BUILD_BASE, base_image.build_root(), *base_image.CHANGES)


def import_foreign(engine: ContainerEngine) -> None:
    engine.load_image(build_archive(BASE, base_image.unpack_root(ARCHITECTURE)))


if __name__ == "__main__":
    sys.exit(main())
