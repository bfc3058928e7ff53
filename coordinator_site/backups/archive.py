"""The file of a backup: a ZIP archive with a manifest, the database, and the site's secret key.

The file appears whole or not at all, and only its owner can read it.
"""

import contextlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

from coordinator_site.backups.errors import BackupError

FORMAT = 1
# What `zipfile` raises for archives with changed bytes, besides its own errors.
DAMAGED = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
MANIFEST, DATABASE, SECRET_KEY = "manifest.json", "database", "secret-key"


@dataclass(frozen=True)
class Manifest:
    """`migrations` are those that the database had, as 'app.name'; `created_at` is ISO 8601 in UTC."""

    format: int
    version: str
    vendor: str
    created_at: str
    migrations: list[str]


def write_archive(path: Path, manifest: Manifest, database: Path, secret_key: str) -> None:
    """Raises BackupError: the file cannot be written."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            unfinished = Path(file.name)  # readable by its owner only
            try:
                _write_members(unfinished, manifest, database, secret_key)
                os.fsync(file.fileno())
                unfinished.replace(path)
            finally:
                unfinished.unlink(missing_ok=True)
        _sync_folder(path.parent)
    except OSError as error:
        raise BackupError(f"{path} cannot be written: {error.strerror or error}.") from error


def _write_members(path: Path, manifest: Manifest, database: Path, secret_key: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        archive.writestr(MANIFEST, json.dumps(asdict(manifest), indent=1))
        archive.write(database, DATABASE)
        if secret_key:
            archive.writestr(SECRET_KEY, secret_key)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def open_archive(path: Path) -> Iterator[tuple[Manifest, Path, str]]:
    """The manifest, the database as a temporary file, and the secret key or "".

    Every member is read whole, so that a damaged one is found before anything is changed.

    Raises:
        BackupError: the file is missing or damaged, or is not a backup that this version can read.
    """
    with contextlib.ExitStack() as stack:
        try:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="coordinator-restore-")))
            archive = stack.enter_context(zipfile.ZipFile(path))
            manifest = _read_manifest(path, archive)
            database = Path(archive.extract(DATABASE, folder))
            has_key = SECRET_KEY in archive.namelist()
            secret_key = archive.read(SECRET_KEY).decode() if has_key else ""
        except DAMAGED as error:
            raise BackupError(f"{path} is not a whole backup: {error}.") from error
        except OSError as error:
            raise BackupError(f"{path} cannot be read: {error.strerror or error}.") from error
        yield manifest, database, secret_key


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    fields = json.loads(archive.read(MANIFEST))
    if not isinstance(fields, dict):
        raise TypeError("its manifest is not an object")
    if fields.get("format") != FORMAT:
        raise BackupError(f"{path} has the format {fields.get('format')!r}; this version reads {FORMAT}.")
    return Manifest(**fields)
