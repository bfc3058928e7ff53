"""Responses that stream, followed to their end."""

import asyncio
import sys
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator

from metrics_app.request_labels import SERVER_ERROR

Finish = Callable[[int], None]


class Stream:
    """Ends once: with its last part, with an error, when it is closed because the client went away, or, if
    the server refuses to send it and never closes it, when it is garbage collected.
    """

    def __init__(self, status: int, finish: Finish) -> None:
        self._status = status
        self._finish: Finish | None = finish

    def __del__(self) -> None:
        if not sys.is_finalizing():
            self.fail()

    def close(self) -> None:
        self._end(self._status)

    def fail(self) -> None:
        """Note that the server could not send it."""
        self._end(SERVER_ERROR)

    def _end(self, code: int) -> None:
        finish, self._finish = self._finish, None
        if finish is not None:
            finish(code)


class TimedStream(Stream):
    def __init__(self, content: Iterator[bytes], status: int, finish: Finish) -> None:
        super().__init__(status, finish)
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            return next(self._content)
        except StopIteration:
            self._end(self._status)
            raise
        except BaseException:
            self._end(SERVER_ERROR)
            raise


class TimedAsyncStream(Stream):
    def __init__(self, content: AsyncIterable[bytes], status: int, finish: Finish) -> None:
        super().__init__(status, finish)
        self._content = aiter(content)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._content)
        except (StopAsyncIteration, asyncio.CancelledError):
            self._end(self._status)
            raise
        except BaseException:
            self._end(SERVER_ERROR)
            raise
