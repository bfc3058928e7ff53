"""A relay in front of a server, whose connections a test cuts at a moment of its choice."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class CuttingRelay:
    def __init__(self, port: int) -> None:
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.accepted = 0

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Closing alone does not wake up a thread that accepts.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join(30)

    def cut(self) -> None:
        """Break all connections, in both directions."""
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port), timeout=300)
            except OSError:
                return
            far.settimeout(None)
            self.accepted += 1
            with self._lock:
                self._open |= {near, far}
            pair = threading.Barrier(2)
            self._start(self._copy, near, far, pair)
            self._start(self._copy, far, near, pair)

    def _copy(self, source: socket.socket, target: socket.socket, pair: threading.Barrier) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                target.sendall(content)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with suppress(threading.BrokenBarrierError):
            pair.wait(30)
        with self._lock:
            self._open.discard(source)
        source.close()
