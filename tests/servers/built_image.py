"""The image: built by Docker once in a test run, and loaded by every other engine of that run."""

import subprocess
from pathlib import Path

from tests.servers import base_image
from tests.servers.compose_project import BASE, IMAGE, ComposeProject, compose_engine
from tests.servers.container_engine import ContainerEngine
from tests.servers.shared_copies import find_folder, locked


def provide_image(engine: ContainerEngine) -> None:
    """Where no test of this run has built it, build it in this engine, or for Podman in one of Docker."""
    kept = find_folder() / "image.tar"
    with locked(kept):
        if not kept.exists() and not engine.podman_words:
            _build(engine, kept)
            return
        if not kept.exists():
            with compose_engine() as builder:
                _build(builder, kept)
    command = engine.podman if engine.podman_words else ("docker", "--host", engine.url)
    _run(*command, "load", "--quiet", "--input", str(kept))


def _build(engine: ContainerEngine, kept: Path) -> None:
    engine.import_image(BASE, base_image.build_root(), *base_image.CHANGES)
    # Not by `up --build`, which would start services that share the image once more at the next `up`.
    ComposeProject(engine).compose("build")
    unfinished = kept.with_suffix(".unfinished")
    _run("docker", "--host", engine.url, "save", "--output", str(unfinished), IMAGE)
    unfinished.rename(kept)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
