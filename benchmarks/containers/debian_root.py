"""Images of Debian's packages, in place of those of registries: nothing but a mirror of Debian is needed."""

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

# As in python:3.13-slim, which has libstdc++ because of apt.
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What this machine trusts, where a proxy or a mirror of its own has the packages.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
PYTHON = ("libstdc++6", "passwd", "python-is-python3", "python3", "python3-venv")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")


def trust_of_pip() -> str:
    """The variable of an image by which pip trusts what this machine trusts."""
    return f"PIP_CERT={CERTIFICATES}"


def find_root(name: str, packages: Sequence[str]) -> Path:
    """The file system, as an archive, of a Debian that has these packages and what they need.

    It is kept beside what else takes long to make, because it takes half a minute of processor time.
    """
    content = hashlib.sha256(" ".join((SUITE, *LEFT_OUT, *packages)).encode()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "test-coordinator"
    kept = cache / f"{SUITE}-{name}-{content}.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        new = kept.with_name(f"new-{os.getpid()}-{kept.name}")
        try:
            _build_root(new, packages)
            new.replace(kept)
        finally:
            new.unlink(missing_ok=True)
    return kept


def _build_root(archive: Path, packages: Sequence[str]) -> None:
    excluded = (f"path-exclude={pattern}" for pattern in LEFT_OUT)
    for_dpkg = ("force-unsafe-io", *excluded, "path-include=/usr/share/doc/*/copyright")
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=essential",
        "--components=main",
        f"--include={','.join(packages)}",
        f"--keyring={KEYS}",
        "--aptopt=Acquire::Languages none",
        "--aptopt=Acquire::Retries 3",
        *(f"--dpkgopt={option}" for option in for_dpkg),
        f'--customize-hook=mkdir -p "$1{CERTIFICATES.parent}"',
        f"--customize-hook=upload {CERTIFICATES} {CERTIFICATES}",
        SUITE,
        str(archive),
        MIRROR,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
