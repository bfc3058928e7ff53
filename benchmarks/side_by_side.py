"""Moments of kills that several installations meet side by side: most of each moment is waiting."""

import contextlib
import os
import queue
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

Lane = TypeVar("Lane")
Moment = TypeVar("Moment")
Result = TypeVar("Result")


def meet_all(
    lanes: Sequence[Lane], moments: Sequence[Moment], meet: Callable[[Lane, Moment], Result]
) -> tuple[list[Result], int]:
    """Each lane takes the next moment when it has met its last one. Returns the results, in the order in
    which they came, and how many moments were not met, because something raised an exception.

    A lane takes no further moments after an exception, which is printed.
    """
    waiting: queue.SimpleQueue[Moment] = queue.SimpleQueue()
    for moment in moments:
        waiting.put(moment)
    results: list[Result] = []

    def work(lane: Lane) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                moment = waiting.get_nowait()
                try:
                    result = meet(lane, moment)
                except Exception:  # noqa: BLE001 - the other lanes go on, and it is counted
                    traceback.print_exc()
                    return
                results.append(result)
                print(f"{len(results)} of {len(moments)}: {result}", flush=True)

    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(work, lanes))
    return results, len(moments) - len(results)


def kill_all(processes: Sequence["subprocess.Popen[bytes]"]) -> float:
    """Kill these and their children with SIGKILL, all at once; the monotonic time of that."""
    for pid in list_killed(processes):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    for process in processes:
        process.wait()
    return killed


def list_killed(processes: Sequence["subprocess.Popen[bytes]"]) -> list[int]:
    """These and their children. A guardian has a session of its own, and is not among them."""
    # A guardian that has just been started is still a child of the call that waits for it.
    return [
        pid
        for process in processes
        for pid in (process.pid, *_list_descendants(process.pid))
        if _shares_session_with(process.pid, pid)
    ]


def _list_descendants(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                found += [child, *_list_descendants(child)]
    return found


def _shares_session_with(process: int, pid: int) -> bool:
    try:
        return os.getsid(pid) == os.getsid(process)
    except ProcessLookupError:
        return False
