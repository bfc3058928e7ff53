"""A directory whose name others can guess, kept to one user."""

import errno
import os
import stat
from pathlib import Path


def make_private(directory: Path) -> None:
    """Make the directory for this user alone, where it is not there yet.

    Raises:
        OSError: it cannot be made, or somebody else made it and would read or replace what is put there.
    """
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError:
        # In the temporary directory nobody but its owner can put another one into its place.
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode):
            raise
        if status.st_uid != os.geteuid() or status.st_mode & 0o077:
            raise PermissionError(
                errno.EPERM, "it is another user's, or open to others", str(directory)
            ) from None
