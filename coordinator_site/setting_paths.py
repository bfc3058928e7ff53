"""Settings that are paths."""

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def absolute_directories(name: str, values: Iterable[str]) -> tuple[Path, ...]:
    """Directories, which need not exist yet."""
    for value in values:
        if not value.startswith("/") or os.path.normpath(value) != value or value == "/":
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use absolute paths of directories, as in '/run/exchange'."
            )
    return tuple(Path(value) for value in values)


def directory_or_none(name: str, value: str) -> Path | None:
    return next(iter(absolute_directories(name, [value])), None) if value else None


def absolute_paths(name: str, values: Iterable[str]) -> tuple[Path, ...]:
    """Files, which need not exist yet."""
    for value in values:
        if not value.startswith("/"):
            raise ImproperlyConfigured(
                f"{name} contains {value!r}: use absolute paths, as in '/etc/coordinator/ssh-key'."
            )
    return tuple(Path(value) for value in values)


def absolute_path_or_none(name: str, value: str) -> Path | None:
    return next(iter(absolute_paths(name, [value])), None) if value else None


def writable_directory(name: str, path: Path) -> Path:
    """The directory, created if it is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}={str(path)!r} cannot be created ({error.strerror}): "
            f"name a directory that this user may write to."
        ) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise ImproperlyConfigured(
            f"{name}={str(path)!r} is not writable: name a directory that this user may write to."
        )
    return path


def kept_secret_key(path: Path) -> str:
    """The secret key in this file, generated on first use.

    Two processes may do this at once. Each writes its own file and links it into place, and all read the
    first one, because a link, unlike a rename, never replaces a file.
    """
    if not path.exists():
        candidate = path.with_name(f"{path.name}.{os.getpid()}")
        with os.fdopen(os.open(candidate, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(50))
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(candidate, path)
        except FileExistsError:
            pass
        finally:
            candidate.unlink()
    return path.read_text()
