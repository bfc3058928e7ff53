"""Exact timers call when it is time, never before, and only for the moment that was set last."""

import asyncio

from scenarios.load.timer import ExactTimer


async def test_it_calls_when_the_moment_has_come() -> None:
    loop = asyncio.get_running_loop()
    called: asyncio.Queue[float] = asyncio.Queue()
    timer = ExactTimer(lambda: called.put_nowait(loop.time()))
    try:
        for wait in (0.02, 0.0, -1.0):
            moment = loop.time() + wait
            timer.call_at(moment)
            async with asyncio.timeout(240):
                assert await called.get() >= moment - 1e-6
        timer.call_at(loop.time() + 3600)
        moment = loop.time() + 0.01
        timer.call_at(moment)
        async with asyncio.timeout(240):
            assert await called.get() >= moment - 1e-6
        assert called.empty()
    finally:
        timer.close()
