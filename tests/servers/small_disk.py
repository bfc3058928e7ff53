"""A disk of a few pages for one process, in a mount namespace that ends with the process."""

import subprocess
from pathlib import Path

KIBIBYTES = 400
NAMESPACE = ("unshare", "--map-root-user", "--mount")
MOUNTED = f'mount -t tmpfs -o size={KIBIBYTES}k none "$0" && exec "$@"'


def inside(directory: Path, *command: str) -> list[str]:
    """The words that run this command with such a disk at the directory."""
    return [*NAMESPACE, "sh", "-c", MOUNTED, str(directory), *command]


def can_be_had() -> bool:
    """Not in every container: the kernel may refuse such namespaces."""
    try:
        return subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False
