"""Work on large answers, beside the event loop: that goes on with other steps, the lease and the stop."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
# Characters and values that take a millisecond or two to look through.
_AT_ONCE = 4_096
# Few: they take turns with the event loop.
_threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="answers")


async def run_in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads, work)


async def run_beside_loop(work: Callable[[], T], fields: Mapping[str, Any]) -> T:
    """What the work returns; done in a thread where the fields that it looks through are large."""
    return await run_in_thread(work) if is_large(fields) else work()


def is_large(fields: Mapping[str, Any]) -> bool:
    """Whether looking through it takes more than a moment."""
    left: list[Any] = [fields]
    size = 0
    while left and size <= _AT_ONCE:
        value = left.pop()
        size += 1 + (len(value) if isinstance(value, str | list | dict) else 0)
        if size <= _AT_ONCE:
            left += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return size > _AT_ONCE
