"""Files that are kept open from scrape to scrape.

As long as a file is kept open its inode is given to no other, so a file that was replaced is told by its
inode: who starts again removes the file first. It is read and not mapped: a map of a file that somebody
cuts short kills the process that looks at it (SIGBUS).
"""

import mmap
import os
import weakref

from metrics_app.adapters.prometheus.descriptors import KeptDescriptor, identify
from metrics_app.adapters.prometheus.files import HEADER, ParsedKeys, UnreadableFileError, used_bytes
from metrics_app.adapters.prometheus.folder import MAGIC_WITH_BASELINES
from metrics_app.adapters.prometheus.layout import Layout, Origin, Values

MAX_KEPT = 4 << 20
"""Bytes of the largest file that is read into memory which is kept."""


class ReadBuffer:
    """Memory into which one file after the other is read.

    To get new memory for each from the operating system costs several times what reading does.
    """

    def __init__(self) -> None:
        self.content = bytearray()

    def read(self, descriptor: int, size: int) -> int:
        """How much of the beginning of `content` was read; 0 where another way is needed."""
        if size > MAX_KEPT or not hasattr(os, "preadv"):  # some systems have none
            return 0
        if size > len(self.content):
            self.content = bytearray(size)
        with memoryview(self.content)[:size] as part:
            return os.preadv(descriptor, [part], 0)


class KnownFile:
    """A file that is kept open from scrape to scrape.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str, origin: Origin) -> None:
        # Without waiting, because a foreign file may be a pipe that nobody writes to.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        kept = KeptDescriptor(self._descriptor)
        self._close = weakref.finalize(self, kept.close)
        self._identity = kept.identity
        self._origin = origin
        self.layout = Layout(origin)

    def is_still(self, path: str) -> bool:
        try:
            status = os.stat(path)  # noqa: PTH116 - once per file and scrape: a Path costs more than this
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity == identify(self._descriptor)

    def read(self, keys: ParsedKeys, buffer: ReadBuffer) -> Values:
        """The values that the file has now; `layout` then tells whose they are.

        Raises:
            UnreadableFileError: one of FAULTS.
            OSError: it cannot be read.
        """
        if self._is_unchanged(buffer):
            return self.layout.values(buffer.content)
        # A page more than last time: what was added since mostly comes with it.
        known = self.layout.used
        data = os.pread(self._descriptor, known + mmap.PAGESIZE if known > HEADER else HEADER, 0)
        used = used_bytes(data)
        if used > len(data):
            # Not what a foreign file claims, which may be more memory than there is.
            if used > os.fstat(self._descriptor).st_size:
                raise UnreadableFileError("truncated")
            data = os.pread(self._descriptor, used, 0)
        has_baselines = data[4:HEADER] == MAGIC_WITH_BASELINES
        is_other = has_baselines != self.layout.has_baselines
        if is_other or used < self.layout.used or not self.layout.matches(data):
            self.layout = Layout(self._origin, has_baselines=has_baselines)
        if used != self.layout.used:
            self.layout.extend(data, used, keys)
        return self.layout.values(data)

    def _is_unchanged(self, buffer: ReadBuffer) -> bool:
        """Whether the file has the series that it had, and `buffer` its content."""
        layout = self.layout
        if not len(layout) or buffer.read(self._descriptor, layout.used) < layout.used:
            return False
        content = buffer.content
        return (
            used_bytes(content) == layout.used
            and (content[4:HEADER] == MAGIC_WITH_BASELINES) == layout.has_baselines
            and layout.matches(content)
        )

    def close(self) -> None:
        self._close()
