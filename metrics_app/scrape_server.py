"""Answers scrapes only, where no web server of the product runs."""

import socket
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from socketserver import TCPServer
from threading import BoundedSemaphore
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpResponse

from metrics_app.views import exposition

PATH = "/metrics"
AT_ONCE = 4
SECONDS_OF_SILENCE = 10


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    request = WSGIRequest(environ)
    response = exposition(request) if request.path_info == PATH else HttpResponse(status=404)
    start_response(f"{response.status_code} {response.reason_phrase}", list(response.items()))
    return [] if request.method == "HEAD" else [response.content]


class ScrapeServer(WSGIServer):
    """Answers a few clients at once and turns others away, so that no client makes it grow.

    Raises:
        OSError: the address is taken, or does not belong to this machine.
    """

    def __init__(self, address: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._free = BoundedSemaphore(AT_ONCE)
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="scrape")
        super().__init__((address, port), _Handler)
        self.set_app(application)

    def server_bind(self) -> None:
        # Without the name look-up of HTTPServer, which can hang.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._threads.submit(self._answer, request, client_address)

    def server_close(self) -> None:
        super().server_close()
        self._threads.shutdown()

    def _answer(self, request: Any, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except OSError:
            pass  # the client went away, or was silent for too long
        except Exception:  # noqa: BLE001 - one scrape that fails must not end the others
            self.handle_error(request, client_address)
        finally:
            self.shutdown_request(request)
            self._free.release()


class _Handler(WSGIRequestHandler):
    timeout = SECONDS_OF_SILENCE

    def log_message(self, *_: object) -> None:
        """Log nothing: a line for each scrape, every few seconds, would not help."""
