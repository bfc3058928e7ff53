"""A Redis server for tests: in memory, on the loopback."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.loopback import free_port, is_listening, wait_for


class Redis:
    """One server: it can be stopped and started again in the middle of a test."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        program = shutil.which("redis-server")
        assert program is not None, "Redis is not installed: apt-get install redis-server"
        options = ["--port", str(self._port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        options += self._options
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([program, *options], cwd=self._folder, stdout=log, stderr=log)
        wait_for(lambda: is_listening(self._port), what="Redis listens")

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(300)
            self._process = None


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[Redis]:
    server = Redis(folder, *options)
    server.start()
    try:
        yield server
    finally:
        server.stop()
