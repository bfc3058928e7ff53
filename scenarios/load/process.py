"""Starts the process that sends a load, and ends it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scenarios.drivers.child.process import scrubbed_environment
from scenarios.ports import RunningLoad

# A load ends by itself if it hears nothing from the run for this time: its worker may be stopped or cut off.
SILENCE_SECONDS = 10.0
# Variables that name the certificate authorities of the site.
_PASSED_ON = ("SSL_CERT_FILE", "SSL_CERT_DIR")
_MAX_REPORT_BYTES = 64 * 1024 * 1024


class LoadProcesses:
    """Starts a process for each load.

    Its order has `request` (what `StepRunner.prepare_load` returns), `choose` (values by name), `rate` (per
    second), `timeout` (seconds), `seed` and `max_requests`.
    """

    async def start(self, order: Mapping[str, Any]) -> RunningLoad:
        # Drivers read the settings of the site; a load of HTTP needs none of them.
        load = LoadProcess(os.environ if "driver" in order["request"] else scrubbed_environment())
        try:
            await load.begin(order)
        except BaseException:
            load.kill()
            raise
        return load


class LoadProcess:
    def __init__(self, environment: Mapping[str, str]) -> None:
        kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        paths = os.pathsep.join([str(Path(__file__).parents[2]), *filter(None, sys.path)])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "scenarios.load.sender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**environment, **kept, "PYTHONPATH": paths},
            cwd="/",
            start_new_session=True,
        )
        self._input: asyncio.WriteTransport | None = None
        self._output: asyncio.ReadTransport | None = None
        self._reader = asyncio.StreamReader(limit=_MAX_REPORT_BYTES)

    @property
    def pid(self) -> int:
        return self._process.pid

    async def begin(self, order: Mapping[str, Any]) -> None:
        loop = asyncio.get_running_loop()
        self._input, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, self._process.stdin)
        self._output, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(self._reader), self._process.stdout
        )
        self._write({**order, "silence": SILENCE_SECONDS})

    def enter_phase(self, phase: int) -> None:
        self._write({"phase": phase})

    def _write(self, word: Mapping[str, Any]) -> None:
        # Where the process has ended, `read` says so.
        if self._input is not None and not self._input.is_closing():
            self._input.write(json.dumps(word).encode() + b"\n")

    async def read(self) -> Mapping[str, Any] | None:
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            return None
        report: Mapping[str, Any] = json.loads(line)
        return report

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.feed_eof()
        if self._input is not None:
            if not self._input.is_closing():
                self._input.abort()
        elif self._process.stdin is not None:
            self._process.stdin.close()
        if self._output is not None:
            self._output.close()
        elif self._process.stdout is not None:
            self._process.stdout.close()
        self._input = self._output = None
