"""Clients that send requests and count their answers."""

import http.client
import threading
import time

CLIENTS = 8


class Load:
    """Sends requests from several clients at once, and counts the answers that arrived whole."""

    def __init__(self, port: int, requests: int) -> None:
        self.answered = self.failed = 0
        self._port = port
        self._left = requests
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(CLIENTS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    @property
    def done(self) -> int:
        return self.answered + self.failed

    def end(self) -> None:
        for thread in self._threads:
            thread.join(600)

    def _ask(self) -> None:
        while True:
            with self._lock:
                if not self._left:
                    return
                self._left -= 1
            is_answered = self._is_answered()
            with self._lock:
                self.answered += is_answered
                self.failed += not is_answered
            if not is_answered:
                time.sleep(0.05)  # until the server has another worker

    def _is_answered(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            self._connect(connection)
            connection.request("GET", "/", headers={"Connection": "close"})
            response = connection.getresponse()
            return len(response.read()) == len(b"ok") * 2000 and response.status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    @staticmethod
    def _connect(connection: http.client.HTTPConnection) -> None:
        """Wait for a server that is being started again: nobody has asked it for anything then."""
        deadline = time.monotonic() + 120
        while True:
            try:
                connection.connect()
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            else:
                return
