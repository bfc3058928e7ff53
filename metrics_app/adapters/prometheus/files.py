"""The files of prometheus_client's multiprocess mode: their names and their layout."""

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
BEFORE_BOUND = b'"le": "'
BOUND = re.compile(rb"[-+.\w]+")
"""What json.dumps() writes as it is."""


class UnreadableFileError(Exception):
    """A file in the metrics directory is not what prometheus_client writes; the argument is one of FAULTS."""


LabelPairs = tuple[tuple[str, str], ...]


class Key(NamedTuple):
    """The key before each value; the labels are sorted."""

    metric: str
    sample: str
    labels: LabelPairs
    help: str


def used_bytes(data: bytes | bytearray) -> int:
    """How many bytes of a file are used, by its header; this may be more than `data` has.

    Raises:
        UnreadableFileError: 'empty' or 'truncated'.
    """
    if not data:
        # A new file is empty until it has grown to its first size.
        raise UnreadableFileError("empty")
    if len(data) < HEADER:
        raise UnreadableFileError("truncated")
    # 0 until the process that made the file has written its first entry.
    return int(LENGTH.unpack_from(data)[0]) or HEADER


def scan(data: bytes, start: int, used: int) -> tuple[list[bytes], list[int]]:
    """The key of each entry from `start` to `used`, and how many doubles stand before its value.

    The timestamp follows the value.

    Raises:
        UnreadableFileError: 'truncated' or 'foreign'. Such a file is not used at all, because half of it
        would count half as much as at the last scrape.
    """
    if used > len(data):
        raise UnreadableFileError("truncated")
    if used < HEADER or used % DOUBLE:
        raise UnreadableFileError("foreign")
    keys, places = [], []
    # Without a sign, so that every step goes forward: the last one tells whether all were right.
    lengths = memoryview(data)[:used].cast("I")
    position = start
    while position < used:
        begin = position + 4
        end = begin + lengths[position >> 2]
        place = (end >> 3) + 1  # padded by one to eight bytes
        position = (place << 3) + 16
        keys.append(data[begin:end])
        places.append(place)
    if position != used:
        raise UnreadableFileError("foreign")
    return keys, places


def stored_keys(path: Path) -> list[Key]:
    """The keys in a file; none if there is no such file.

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
        UnreadableFileError: 'foreign': the key does not have these parts.
    """
    try:
        text = key.decode()
        (metric, sample, labels, help_text), end = _decode(text)
        # Fails for values that are not text, and costs less than checking each type; names are text in JSON.
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


class BucketKeys(NamedTuple):
    """The keys of all buckets of a label set, which differ in their bound alone."""

    metric: str
    sample: str
    first_labels: LabelPairs
    last_labels: LabelPairs
    """Behind the bound's."""
    help: str

    def key(self, bound: tuple[str, str]) -> Key:
        metric, sample, first, last, help_text = self
        # Half of what Key() costs.
        return tuple.__new__(Key, (metric, sample, (*first, bound, *last), help_text))


class ParsedKeys(dict[bytes, Key]):
    """The parts of each key that was asked for: one object for what stands in many files or keys."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: dict[object, object] = {}
        self._bounds: dict[bytes, tuple[str, str]] = {}
        self._buckets: dict[tuple[bytes, bytes], BucketKeys] = {}
        """By what stands before and behind the bound."""

    def __missing__(self, key: bytes) -> Key:
        before, _, behind = key.partition(BEFORE_BOUND)
        text, _, after = behind.partition(b'"')
        buckets, bound = self._buckets.get((before, after)), self._bounds.get(text)
        if buckets is not None and bound is not None:
            found = buckets.key(bound)
        else:
            found = self._parsed(key)
            if BOUND.fullmatch(text):
                self._learn_buckets(found, before, text, after)
        self[key] = found
        return found

    def _parsed(self, key: bytes) -> Key:
        metric, sample, labels, help_text = parsed(key)
        share: Any = self._parts.setdefault
        labels = tuple(map(share, labels, labels))
        return Key(share(metric, metric), share(sample, sample), labels, share(help_text, help_text))

    def _learn_buckets(self, found: Key, before: bytes, text: bytes, after: bytes) -> None:
        metric, sample, labels, help_text = found
        bound = "le", text.decode()
        place = labels.index(bound) if bound in labels else len(labels)
        buckets = BucketKeys(metric, sample, labels[:place], labels[place + 1 :], help_text)
        # A foreign key may have the same label twice.
        other = parsed(b"".join((before, BEFORE_BOUND, text, b'0"', after)))
        if buckets.key(bound) == found and buckets.key(("le", f"{bound[1]}0")) == other:
            self._buckets[before, after] = buckets
            self._bounds[text] = bound


def without_surrogates(text: str) -> str:
    """The text with '?' for halves of surrogate pairs, which UTF-8 cannot represent."""
    return text.encode(errors="replace").decode()
