"""A service in its own process, whose faults outlive it because they are stored in a file."""

import http.server
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PORT, STORY = sys.argv[1:3] if __name__ == "__main__" else ("", "")


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.answer("injected")

    def do_DELETE(self) -> None:
        self.answer("undone")

    def answer(self, what: str) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        with Path(STORY).open("a") as story:
            story.write(f"{what}\n")
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """The tests' own output stays readable."""


class LastingTarget:
    """POST injects, DELETE undoes. It can be killed and come back, or fall silent and wake."""

    def __init__(self, folder: Path) -> None:
        # Only the tests need these: the service itself starts without the project on its path.
        from tests.servers.loopback import free_port  # noqa: PLC0415

        self._story = folder / "story-of-the-target"
        self._story.touch()
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    @property
    def story(self) -> list[str]:
        return self._story.read_text().split()

    @property
    def is_broken(self) -> bool:
        return self.story[-1:] == ["injected"]

    def come(self) -> None:
        from tests.servers.loopback import is_listening, wait_for  # noqa: PLC0415

        command = [sys.executable, __file__, str(self._port), str(self._story)]
        self._process = subprocess.Popen(command)
        wait_for(lambda: is_listening(self._port), what="the target listens")

    def vanish(self) -> None:
        """Stop listening, so that connections are refused."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def fall_silent(self) -> None:
        """Stop answering: the kernel still accepts connections."""
        self._tell(signal.SIGSTOP)

    def wake(self) -> None:
        self._tell(signal.SIGCONT)

    def _tell(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def lasting_target(folder: Path) -> Iterator[LastingTarget]:
    folder.mkdir()
    target = LastingTarget(folder)
    target.come()
    try:
        yield target
    finally:
        target.vanish()


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(PORT)), Handler).serve_forever()
