"""Another process that records metrics, like a worker, and dies on request."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

PROGRAM = """
import sys
from pathlib import Path
from metrics_app.adapters.prometheus import PrometheusMetricsAdapter

metrics = PrometheusMetricsAdapter(directory=Path(sys.argv[1]))
metrics.inc_counter("orders_total", {})
print("ready", flush=True)
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class OtherProcess:
    """Has counted one order when it is there; with `own_server` it belongs to a server of its own."""

    def __init__(self, directory: Path, *, own_server: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", PROGRAM, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=own_server,
        )
        self.pid = self._process.pid
        self._answer("ready")

    def run(self, line: str) -> None:
        """Execute one line of Python there, with `metrics` being its adapter."""
        assert self._process.stdin is not None
        print(line, file=self._process.stdin, flush=True)
        self._answer("done")

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def leave(self) -> None:
        """End as a process does that has nothing more to do."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait() == os.EX_OK

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _answer(self, expected: str) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == f"{expected}\n"
