"""A container engine and an API server of Kubernetes that only list what is there."""

import json
import socketserver
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.servers.serving import serving

SHOP = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}
LISTED: list[dict[str, Any]] = [
    {
        "Id": "a" * 64,
        "Names": ["/shop-web-1"],
        "State": "running",
        "Labels": SHOP,
        "Ports": [
            {"IP": "", "PrivatePort": 8000, "PublicPort": 18000, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 8000, "PublicPort": 18000, "Type": "tcp"},
            {"PrivatePort": 5432, "Type": "tcp"},
            {"PrivatePort": 53, "Type": "udp"},
        ],
        "NetworkSettings": {"Networks": {"shop_default": {"IPAddress": "10.199.0.7"}}},
    },
    {"Id": "b" * 64, "Names": ["/gone"], "State": "exited", "Labels": SHOP, "Ports": []},
    {"Id": "c" * 64, "Names": ["/alone"], "State": "running", "Labels": {}, "Ports": []},
]
SERVICES = {
    "kind": "ServiceList",
    "items": [
        {"metadata": {"name": "till"}, "spec": {"ports": [{"name": "http", "port": 80}]}},
        {"metadata": {"name": "books"}, "spec": {"ports": [{"port": 5432}]}},
    ],
}


NOTHING: dict[str, list[Any]] = {"items": [], "resources": []}


def _build_handler(content: Any, path: str) -> type[BaseHTTPRequestHandler]:
    """Answers with the content where the path has this in it, and with nothing elsewhere."""

    class Listing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(content if path in self.path else NOTHING).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words: object) -> None:
            pass

        def address_string(self) -> str:
            return "a socket has none"

    return Listing


@contextmanager
def listing_engine(listed: list[dict[str, Any]]) -> Iterator[str]:
    """The address of an engine with these containers."""
    # Not in a folder of pytest: the path of a socket has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="engines-") as folder:
        server = socketserver.ThreadingUnixStreamServer(
            f"{folder}/socket", _build_handler(listed, "/containers/")
        )
        server.daemon_threads = True
        with serving(server):
            yield f"unix://{folder}/socket"


@contextmanager
def listing_cluster(folder: Path) -> Iterator[str]:
    """The path of the kubeconfig of a cluster, whose context `test` has SERVICES in each namespace."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _build_handler(SERVICES, "/services"))
    config = {
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "one", "user": "someone"}}],
        "clusters": [{"name": "one", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "someone", "user": {"token": "a-token-of-tests"}}],
    }
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    with serving(server):
        yield str(folder / "kubeconfig")
