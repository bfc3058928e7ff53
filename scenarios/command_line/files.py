"""Documents in files and folders, and files written whole or not at all."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from scenarios.command_line.coordinator import CommandRefused

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = Path("-")
# Far more than a document may have: whatever is longer is refused by its beginning.
MAX_INPUT_BYTES = 4 * 1024 * 1024


def find_files(paths: list[Path]) -> list[Path]:
    """The files, and those in the folders with one of SUFFIXES.

    What begins with a dot is passed over: `.git`, `.github`, and the folders by which Kubernetes swaps a
    mounted ConfigMap. None is named twice. `-` is standard input.

    Raises:
        CommandRefused: a file is missing, or there is none at all.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(_list_folder(path))
        elif path == STANDARD_INPUT or path.is_file():
            files.append(path)
        else:
            raise CommandRefused(f"There is no file {str(path)!r}.")
    if not files:
        raise CommandRefused(f"There is no {', '.join(SUFFIXES)} file in {', '.join(map(str, paths))}.")
    return list(dict.fromkeys(files))


def _list_folder(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix in SUFFIXES and path.is_file():
            yield path


def is_file_name(word: str) -> bool:
    """Scenarios have names without a dot."""
    return Path(word) == STANDARD_INPUT or Path(word).suffix in SUFFIXES


def read_content(file: Path) -> bytes:
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(MAX_INPUT_BYTES)
    try:
        return file.read_bytes()
    except OSError as error:
        raise CommandRefused(f"{str(file)!r} cannot be read: {error.strerror}.") from error


def replace_file(file: Path, content: bytes) -> None:
    """Replace the file's content at once: whoever reads it meanwhile sees the old or the new."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)  # a device or a pipe, as /dev/stdout: nothing to replace
            return
        try:
            with draft.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            draft.replace(file)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
    except OSError as error:
        raise CommandRefused(f"{str(file)!r} cannot be written: {error.strerror}.") from error


def check_writable(file: Path) -> None:
    """Before a run is begun whose result is to be written there.

    Raises:
        CommandRefused: the file's folder is missing, or closed to this user.
    """
    device = file.exists() and not file.is_file() and not file.is_dir()
    place = file if device else file.parent
    wanted = os.W_OK if device else os.W_OK | os.X_OK
    if file.is_dir() or not os.access(place, wanted):
        raise CommandRefused(f"{str(file)!r} cannot be written: name a file in a folder that can be.")
