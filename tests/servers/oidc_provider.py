"""A small OpenID provider on loopback, with real keys, whose tokens may lie."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT_ID, CLIENT_SECRET = "test-coordinator", "made-up-secret"


@cache
def a_key(name: str, kid: str = "") -> RSAKey:
    """One for each name, as they take their time; `kid` is the name unless it is given."""
    return RSAKey.generate_key(2048, {"kid": kid or name, "use": "sig"})


class Provider:
    """`person` are the claims of who logs in, `lies` replace any; `asked` is the last authorization request,
    and `ended` the last request to log out. At the paths in `broken` it answers with a status and a text.

    It signs with `key`, and publishes another where a test wants it.
    """

    def __init__(self) -> None:
        self.person: dict[str, Any] = {"sub": "248289761001", "preferred_username": "ann", "groups": ["sre"]}
        self.lies: dict[str, Any] = {}
        self.by_userinfo: dict[str, Any] = {}
        self.asked: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.broken: dict[str, tuple[int, str]] = {}
        self.key = self.published = a_key("one")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "jwks_uri": f"{self.issuer}/jwks",
            "end_session_endpoint": f"{self.issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "HS256"],
        }

    def way_back(self, asked: dict[str, str]) -> str:
        """The address to which the user is sent after logging in here."""
        self.asked = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': 'the-code', 'state': asked['state']})}"

    def send_on(self, path: str, asked: dict[str, str]) -> str:
        """Where the person is sent who logs in or out here."""
        if path == "/authorize":
            return self.way_back(asked)
        self.ended = asked
        return asked["post_logout_redirect_uri"]

    def find_document(self, path: str) -> dict[str, Any]:
        if path == "/jwks":
            return {"keys": [self.published.as_dict(private=False)]}
        return {**self.person, **self.by_userinfo} if path == "/userinfo" else self.discovery()

    def token(self, given: dict[str, str], authorization: str) -> dict[str, Any]:
        """The response to the code, if the client knows its secret and the value that it hashed before."""
        basic = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert (authorization, challenge) == (f"Basic {basic}", self.asked["code_challenge"])
        assert (given["code"], given["redirect_uri"]) == ("the-code", self.asked["redirect_uri"])
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "exp": now + 300, "iat": now}
        claims |= {"nonce": self.asked["nonce"], **self.person, **self.lies}
        id_token = jwt.encode({"alg": "RS256", "kid": self.key.kid}, claims, self.key)
        return {"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": id_token}

    @contextmanager
    def listening(self) -> Iterator["Provider"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


def read_query(query: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(query).items()}


def _handler(provider: Provider) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path in provider.broken:
                self.answer_text(*provider.broken[parts.path])
            elif parts.path in {"/authorize", "/logout"}:
                self.redirect(provider.send_on(parts.path, read_query(parts.query)))
            else:
                self.answer(provider.find_document(parts.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            given = read_query(body)
            if self.path in provider.broken:
                self.answer_text(*provider.broken[self.path])
                return
            self.answer(provider.token(given, self.headers["Authorization"]))

        def redirect(self, place: str) -> None:
            self.send_response(302)
            self.send_header("Location", place)
            self.end_headers()

        def answer(self, value: dict[str, Any]) -> None:
            self.answer_text(200, json.dumps(value))

        def answer_text(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_arguments: Any) -> None:
            """Say nothing."""

    return Handler
