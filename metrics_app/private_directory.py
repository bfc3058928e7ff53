"""A directory for one user, although others can guess its name."""

import errno
import os
import stat
from pathlib import Path


def make_private(directory: Path) -> None:
    """Make the directory for this user only, unless it exists.

    Raises:
        OSError: it cannot be made, or somebody else made it and could read or replace its content.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        # In the temporary directory, only its owner can replace it.
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise PermissionError(
                errno.EPERM, "it is another user's, or open to others", str(directory)
            ) from None
