"""The files of prometheus_client's multiprocess mode: their names, and what stands where in them."""

import json
import re
import struct
from pathlib import Path
from typing import Any, NamedTuple

FILE_NAME = re.compile(
    r"(?:(?P<type>counter|histogram|summary)|gauge_(?P<mode>(?:live)?(?:all|min|max|sum|mostrecent)))"
    r"_(?P<process>[^_]+)\.db"
)
HEADER = 8
LENGTH = struct.Struct("i")
DOUBLE = 8
FAULTS = ("empty", "truncated", "foreign")


class UnreadableFileError(Exception):
    """A file in the metrics directory is not what prometheus_client writes; the argument is one of FAULTS."""


class Key(NamedTuple):
    """What stands before each value; the labels are sorted."""

    metric: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    help: str


def used_bytes(data: bytes) -> int:
    """How much of a file is used, as its beginning says; it may be more than `data` has.

    Raises:
        UnreadableFileError: 'empty' or 'truncated'.
    """
    if not data:
        # Between the opening of a new file and its growing to its first size, it is empty.
        raise UnreadableFileError("empty")
    if len(data) < HEADER:
        raise UnreadableFileError("truncated")
    # 0 until the one who made the file has written its first entry.
    return int(LENGTH.unpack_from(data)[0]) or HEADER


def scan(data: bytes, start: int, used: int) -> tuple[list[bytes], list[int]]:
    """The key of each entry from `start` to `used`, and where its value stands; the timestamp follows it.

    Raises:
        UnreadableFileError: 'truncated' or 'foreign'. Nothing of such a file is used, for half of it
            would count half of what it counted at the last scrape.
    """
    if used > len(data):
        raise UnreadableFileError("truncated")
    if used < HEADER or used % DOUBLE:
        raise UnreadableFileError("foreign")
    keys, values_at = [], []
    numbers = memoryview(data)[:used].cast("i")
    position = start
    while position < used:
        length = numbers[position >> 2]
        begin = position + 4
        end = begin + length
        value_at = (end | 7) + 1  # padded by one to eight bytes
        position = value_at + 16
        if length < 0 or position > used:
            raise UnreadableFileError("foreign")
        keys.append(data[begin:end])
        values_at.append(value_at)
    return keys, values_at


def stored_keys(path: Path) -> list[Key]:
    """The keys that a file holds; none when there is no such file.

    Raises:
        UnreadableFileError: one of FAULTS.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    keys, _ = scan(data, HEADER, used_bytes(data))
    return [parsed(key) for key in keys]


def parsed(key: bytes) -> Key:
    """The parts of a key.

    Raises:
        UnreadableFileError: 'foreign', because it does not have these parts.
    """
    try:
        text = key.decode()
        (metric, sample, labels, help_text), end = _decode(text)
        # Fails for what is not text, and costs less than to look at each type; names are text in JSON.
        "".join((metric, sample, help_text, *labels.values()))
    except (AttributeError, TypeError, ValueError) as error:
        raise UnreadableFileError("foreign") from error
    if end != len(text):
        raise UnreadableFileError("foreign")
    if rb"\ud" in key:
        metric, sample, help_text = map(without_surrogates, (metric, sample, help_text))
        labels = {without_surrogates(name): without_surrogates(value) for name, value in labels.items()}
    return Key(metric, sample, tuple(sorted(labels.items())), help_text)


# Half of what json.loads() costs, which skips white space that a key has not.
_decode = json.JSONDecoder().raw_decode


class ParsedKeys(dict[bytes, Key]):
    """The parts of each key that was asked for: one object for what stands in many files or keys."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[object, object] = {}

    def __missing__(self, key: bytes) -> Key:
        metric, sample, labels, help_text = parsed(key)
        share: Any = self._parts.setdefault
        pairs = [share(label, label) for label in labels]
        found = Key(share(metric, metric), share(sample, sample), tuple(pairs), share(help_text, help_text))
        self[key] = found
        return found


def without_surrogates(text: str) -> str:
    """The text with '?' for what is no character: halves of pairs cannot be written as UTF-8."""
    return text.encode(errors="replace").decode()
