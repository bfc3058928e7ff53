"""Drivers find addresses although others wait for servers that hang."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from scenarios.domain.own_threads import run_in_own_thread
from scenarios.drivers.gate import admit


async def test_addresses_are_found_while_all_shared_threads_wait() -> None:
    loop, over = asyncio.get_running_loop(), threading.Event()
    loop.set_default_executor(ThreadPoolExecutor(1))
    waiting = asyncio.create_task(asyncio.to_thread(over.wait, 600))
    try:
        async with asyncio.timeout(120):
            for host in ("127.0.0.1", "[::1]", "localhost"):
                found = await admit(host, 80, None)
                assert {str(entry[4][0]) for entry in found} <= {"127.0.0.1", "::1"}
            assert await run_in_own_thread(lambda: 42) == 42
        assert not waiting.done()
    finally:
        over.set()
    await waiting


async def test_what_an_own_thread_raises_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise ValueError("not this way")

    with pytest.raises(ValueError, match="not this way"):
        await run_in_own_thread(fail)
