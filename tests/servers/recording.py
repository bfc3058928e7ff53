"""Web servers that record requests and send scripted responses."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.servers.serving import serving


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Recorder:
    """`redirect_to` is answered with `status`; `before_answer` is called with each request.

    One that `echoes` answers with the headers of the request.
    """

    status: int = 200
    redirect_to: str = ""
    echoes: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    before_answer: Callable[[Request], object] = lambda _request: None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.requests]


@contextmanager
def recording() -> Iterator[Recorder]:
    recorder = Recorder()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            request = Request(self.command, self.path, dict(self.headers.items()), body)
            recorder.requests.append(request)
            recorder.before_answer(request)
            self.send_response(recorder.status)
            if recorder.redirect_to:
                self.send_header("Location", recorder.redirect_to)
            for name, value in recorder.headers.items():
                self.send_header(name, value)
            content = str(request.headers).encode() if recorder.echoes else b""
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_words: object) -> None:
            pass

    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PURGE"):
        setattr(Handler, f"do_{method}", Handler.answer)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    recorder.port = server.server_port
    with serving(server):
        yield recorder
