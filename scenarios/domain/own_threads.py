"""Work that may wait long for others, such as servers that hang, beside an event loop."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")


async def run_in_own_thread(work: Callable[[], T]) -> T:
    """What the work returns, done in a thread that nothing else waits for.

    The few threads of `asyncio.to_thread` are for work that is soon done: undoing a fault needs them, too.
    """
    result: Future[T] = Future()
    result.set_running_or_notify_cancel()
    context = copy_context()

    def do() -> None:
        try:
            done = context.run(work)
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            result.set_exception(error)
        else:
            result.set_result(done)

    threading.Thread(target=do, name="own", daemon=True).start()
    return await asyncio.wrap_future(result)
