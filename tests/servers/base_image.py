"""What the image is built on: a Debian with Python, in place of python:3.13-slim of a registry."""

import os
import subprocess
from pathlib import Path

# The release whose Python the image has.
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What this machine trusts, where a proxy or a mirror of its own has the packages.
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# As in python:3.13-slim, which has libstdc++ because of apt.
PACKAGES = ("libstdc++6", "passwd", "python-is-python3", "python3", "python3-venv")
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*", "/usr/share/man/*")
# pip then trusts what this machine trusts.
CHANGES = (f"ENV PIP_CERT={CERTIFICATES}",)


def build_root(*options: str) -> bytes:
    """Its file system, as an archive. `options` are further ones of mmdebstrap."""
    excluded = (f"path-exclude={pattern}" for pattern in LEFT_OUT)
    for_dpkg = ("force-unsafe-io", *excluded, "path-include=/usr/share/doc/*/copyright")
    command = [
        "mmdebstrap",
        "--quiet",
        "--variant=essential",
        "--components=main",
        f"--include={','.join(PACKAGES)}",
        f"--keyring={KEYS}",
        "--aptopt=Acquire::Languages none",
        "--aptopt=Acquire::Retries 3",
        *(f"--dpkgopt={option}" for option in for_dpkg),
        f'--customize-hook=mkdir -p "$1{CERTIFICATES.parent}"',
        f"--customize-hook=upload {CERTIFICATES} {CERTIFICATES}",
        "--format=tar",
        *options,
        SUITE,
        "-",
        MIRROR,
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=1200, env=_environment())
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-4000:]
    return done.stdout


def unpack_root(architecture: str) -> bytes:
    """The same for another kind of processor: unpacked alone, because its programs cannot run here."""
    # In other variants, apt takes what is essential by itself.
    essential = "base-files,base-passwd,coreutils,dash,libc-bin"
    list_packages = (
        'for package in "$1"/var/cache/apt/archives/*.deb; do'
        ' dpkg-deb --field "$package" | sed "1iStatus: install ok installed"; echo;'
        ' done >"$1/var/lib/dpkg/status"'
    )
    hooks = (
        'cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"',
        'cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"',
        list_packages,
    )
    return build_root(
        "--variant=extract",
        f"--architectures={architecture}",
        f"--include={essential}",
        *(f"--extract-hook={hook}" for hook in hooks),
    )


def _environment() -> dict[str, str]:
    # Temporary folders of pytest may lie where the user of apt cannot look.
    return {**os.environ, "TMPDIR": "/tmp"}  # noqa: S108 - mmdebstrap makes a folder of its own there
