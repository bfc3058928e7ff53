"""Lets a proxy in front of the site keep or remove the prefix of its addresses."""

from collections.abc import Callable, Iterable
from typing import Any

WsgiApplication = Callable[[dict[str, Any], Any], Iterable[bytes]]


def accept_prefix(application: WsgiApplication, prefix: str) -> WsgiApplication:
    """The application, which is asked without the prefix. Prometheus and health checks ask so, too."""
    if not prefix:
        return application

    def answer(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == prefix or path.startswith(f"{prefix}/"):
            environ["PATH_INFO"] = path[len(prefix) :] or "/"
        return application(environ, start_response)

    return answer
