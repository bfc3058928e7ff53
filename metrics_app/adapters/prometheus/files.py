"""Reads the files of prometheus_client's multiprocess mode, and tells those that cannot be read."""

import json
import re
import struct
from pathlib import Path
from typing import NamedTuple

FILE_NAME = re.compile(
    r"(?:(?P<type>counter|histogram|summary)|gauge_(?P<mode>(?:live)?(?:all|min|max|sum|mostrecent)))"
    r"_(?P<process>[^_]+)\.db"
)
HEADER = 8
LENGTH = struct.Struct("i")
VALUE_AND_TIMESTAMP = struct.Struct("dd")


class UnreadableFileError(Exception):
    """A file in the metrics directory is not what prometheus_client writes; the argument says why."""


class Key(NamedTuple):
    """What stands before each value."""

    metric: str
    sample: str
    labels: dict[str, str]
    help: str


def entries(path: Path) -> list[tuple[str, float, float]]:
    """Key, value and timestamp of each entry; none when there is no such file.

    Raises:
        UnreadableFileError: 'empty', 'truncated' or 'foreign'. Nothing of such a file is used, for
            half of it would count half of what it counted at the last scrape.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return []
    if not data:
        # Between the opening of a new file and its growing to its first size, it is empty.
        raise UnreadableFileError("empty")
    used = LENGTH.unpack_from(data)[0] if len(data) >= HEADER else HEADER
    if used > len(data) or len(data) < HEADER:
        raise UnreadableFileError("truncated")
    found, position = [], HEADER
    while position < used:
        length = LENGTH.unpack_from(data, position)[0] if position + LENGTH.size <= used else -1
        start = position + LENGTH.size
        value_at = start + length + 8 - (start + length) % 8
        if length < 0 or value_at + VALUE_AND_TIMESTAMP.size > used:
            raise UnreadableFileError("foreign")
        try:
            key = data[start : start + length].decode()
        except UnicodeDecodeError as error:
            raise UnreadableFileError("foreign") from error
        found.append((key, *VALUE_AND_TIMESTAMP.unpack_from(data, value_at)))
        position = value_at + VALUE_AND_TIMESTAMP.size
    return found


def parsed(key: str) -> Key:
    """The parts of a key.

    Raises:
        UnreadableFileError: 'foreign', for it has not these parts.
    """
    try:
        metric, sample, labels, help_text = json.loads(key)
    except (TypeError, ValueError) as error:
        raise UnreadableFileError("foreign") from error
    if not isinstance(labels, dict):
        raise UnreadableFileError("foreign")
    return Key(metric, sample, labels, help_text)
