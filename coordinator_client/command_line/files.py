"""Reads documents from files and folders, and writes files atomically."""

import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from coordinator_client.command_line.coordinator import CommandRefused
from coordinator_client.command_line.wording import format_count

SUFFIXES = (".yaml", ".yml", ".json")
STANDARD_INPUT = STANDARD_OUTPUT = Path("-")
# Far more than a document may have. The rest of longer input is never read.
MAX_INPUT_BYTES = 4 * 1024 * 1024
# YAML allows no such line within a text, so it always begins a document.
# https://yaml.org/spec/1.2.2/#912-document-markers
_MARKER = re.compile(rb"^---(?=[ \t\r\n]|\Z)[ \t]*(?P<rest>[^\r\n]*)(\r?\n|\Z)", re.MULTILINE)


def find_files(paths: list[Path]) -> list[Path]:
    """The given files and, in folders, all files with one of SUFFIXES. `-` is standard input.

    Names that begin with a dot are skipped: `.git`, `.github`, and the folders that Kubernetes makes in a
    mounted ConfigMap.

    Raises:
        CommandRefused: a file does not exist, or there are none.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted(_list_folder(path))
        elif path == STANDARD_INPUT or path.exists():  # also a pipe, such as the /dev/fd/63 of '<(command)'
            files.append(path)
        else:
            raise CommandRefused(f"There is no file or folder {str(path)!r}.")
    if not files:
        raise CommandRefused(f"There is no {', '.join(SUFFIXES)} file in {', '.join(map(str, paths))}.")
    return list(dict.fromkeys(files))


def _list_folder(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if not hidden and path.suffix in SUFFIXES and path.is_file():
            yield path


def is_file_name(word: str) -> bool:
    """Names of scenarios contain neither a dot nor a slash."""
    return Path(word) == STANDARD_INPUT or "." in word or "/" in word


def find_file(path: Path) -> Path:
    """The file of one document. `-` is standard input.

    Raises:
        CommandRefused: it does not exist, or is a folder.
    """
    if path.is_dir() and path != STANDARD_INPUT:
        found = sorted(_list_folder(path))
        example = f", for example {str(found[0])!r}" if found else ""
        raise CommandRefused(
            f"{str(path)!r} is a folder with {format_count(len(found), 'document')}; give one file{example}."
        )
    (file,) = find_files([path])
    return file


def read_content(file: Path) -> bytes:
    if file == STANDARD_INPUT:
        return sys.stdin.buffer.read(MAX_INPUT_BYTES)
    try:
        if file.is_file():
            return file.read_bytes()
        with file.open("rb") as pipe:
            return pipe.read(MAX_INPUT_BYTES)
    except OSError as error:
        raise CommandRefused(f"Cannot read {str(file)!r}: {error.strerror}.") from error


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a file, which begins after so many lines."""

    content: bytes
    lines_before: int = 0


def split_documents(content: bytes) -> list[Part]:
    """The documents between lines of `---`, without these lines and without empty documents.

    What has only one document is left as it is.
    """
    begins = [(0, 0)]  # where the line before a document begins, and where the document does
    for marker in _MARKER.finditer(content):
        has_content = marker["rest"] and not marker["rest"].startswith(b"#")
        begins.append((marker.start(), marker.start() if has_content else marker.end()))
    ends = [line for line, _ in begins[1:]] + [len(content)]
    texts = [(begin, content[begin:end]) for (_, begin), end in zip(begins, ends, strict=True)]
    if _is_empty(texts[0][1]):  # only what comes before the first document
        del texts[0]
    parts, counted, lines = [], 0, 0
    for begin, text in texts:
        lines += content.count(b"\n", counted, begin)
        counted = begin
        if not _is_empty(text):
            parts.append(Part(text, lines))
    return (parts or [Part(b"")]) if len(texts) > 1 else [Part(content)]


def _is_empty(text: bytes) -> bool:
    """Whether it has nothing but comments and directives."""
    lines = (line.strip() for line in text.splitlines())
    return all(not line or line.startswith((b"#", b"%")) or line == b"..." for line in lines)


def read_documents(file: Path) -> list[Part]:
    """The documents of a file, of which there may be several.

    Raises:
        CommandRefused: the file cannot be read, or a pipe is longer than is read of it.
    """
    content = read_content(file)
    parts = split_documents(content)
    if len(parts) > 1 and len(content) == MAX_INPUT_BYTES and not file.is_file():
        name = "standard input" if file == STANDARD_INPUT else repr(str(file))
        raise CommandRefused(
            f"More than {MAX_INPUT_BYTES // 1024**2} MiB come from {name}; give a folder of files instead."
        )
    return parts


def parse_output(word: str) -> Path | None:
    """The file of an option `-o FILE`; None for '-', which is standard output."""
    return None if Path(word) == STANDARD_OUTPUT else Path(word)


def parse_report(word: str) -> Path:
    """The file of a report that is written while the command also shows its progress."""
    if Path(word) == STANDARD_OUTPUT:
        raise ArgumentTypeError("standard output shows the progress; name a file")
    return Path(word)


def replace_file(file: Path, content: bytes) -> None:
    """Replace the file's content atomically: readers see either the old or the new one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)  # a device or a pipe, like /dev/stdout, cannot be replaced
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
        raise CommandRefused(f"Cannot write {str(file)!r}: {error.strerror}.") from error


def check_writable(file: Path) -> None:
    """Check this before starting a run whose result is written there.

    Raises:
        CommandRefused: the folder does not exist or is not writable.
    """
    device = file.exists() and not file.is_file() and not file.is_dir()
    place = file if device else file.parent
    mode = os.W_OK if device else os.W_OK | os.X_OK
    if file.is_dir() or not os.access(place, mode):
        raise CommandRefused(f"Cannot write {str(file)!r}; choose a file in a writable folder.")
