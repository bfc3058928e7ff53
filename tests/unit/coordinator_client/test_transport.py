"""Whatever answers, or does not: the command line says it in one sentence, and never shows the token."""

import ssl
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import coordinator_client
from coordinator_client import exchanges
from coordinator_client.errors import (
    CoordinatorError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionMissingError,
    RefusedError,
    UnavailableError,
    UnexpectedAnswerError,
)
from coordinator_client.synchronous import transport
from coordinator_client.synchronous.client import Client
from coordinator_client.synchronous.transport import Transport
from tests.servers.loopback import free_port
from tests.servers.scripted_api import Answer, problem, scripted_api

TOKEN = "tc_the-token-of-the-tests"


def ask(server: str, token: str, timeout: float = 30.0) -> Callable[..., Any]:
    def send(method: str, path: str, **what: Any) -> Any:
        with closing(Transport(server, token, timeout=timeout)) as transport:
            return transport.json(method, path, **what)

    return send


def items(server: str, token: str, path: str, **filters: Any) -> list[Any]:
    with closing(Transport(server, token)) as transport:
        return list(transport.items(path, **filters))


@pytest.fixture(autouse=True)
def no_long_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchanges, "MAX_DELAY", 0.05)


def test_netrc_does_not_replace_the_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with scripted_api(Answer({})) as server:
        ask(server.url, TOKEN)("GET", "runs")
    assert server.asked[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert server.asked[0].path == "/api/v1/runs"


def test_unanswered_write_is_repeated_with_the_same_key() -> None:
    with scripted_api(
        Answer(cut=True), problem(503, "busy", **{"Retry-After": "9"}), Answer({"a": 1})
    ) as server:
        assert ask(server.url, TOKEN)("POST", "runs", body={"document": "x"}) == {"a": 1}
    assert len(server.asked) == 3
    assert len({asked.headers["Idempotency-Key"] for asked in server.asked}) == 1
    assert {asked.body for asked in server.asked} == {b'{"document": "x"}'}


def test_all_pages_are_read_up_to_the_limit() -> None:
    pages = [Answer({"items": [1, 2], "next_cursor": "b/+"}), Answer({"items": [3], "next_cursor": None})]
    with scripted_api(*pages) as server:
        assert items(server.url, "", "runs", status="passed") == [1, 2, 3]
    assert server.asked[1].path == "/api/v1/runs?status=passed&limit=200&cursor=b%2F%2B"
    with scripted_api(pages[0]) as server:
        assert items(server.url, "", "runs", limit=3) == [1, 2, 1]


REFUSED: list[tuple[Answer, type[CoordinatorError], str]] = [
    (
        problem(401, "The token is unknown."),
        NotAuthenticatedError,
        "The token is unknown. Set the token in TEST_COORDINATOR_TOKEN, or in the profile.",
    ),
    (
        problem(403, "This needs scenarios.run_scenario."),
        PermissionMissingError,
        "This needs scenarios.run_scenario.",
    ),
    (problem(404, "There is no run 'x'."), NotFoundError, "There is no run 'x'."),
    (problem(429, "Too many."), UnavailableError, ": Too many."),
    (problem(500, "The server's log says why."), RefusedError, "The server's log says why."),
    (Answer(b"<h1>Bad gateway</h1>", 502), UnavailableError, ": it answered 502."),
    (
        Answer(b"<h1>Not found</h1>", 404),
        UnexpectedAnswerError,
        "answered 404 without a reason; check that this is a coordinator's",
    ),
    (
        Answer(b"[1]", 404, {"Content-Type": "application/problem+json"}),
        UnexpectedAnswerError,
        "without a reason",
    ),
    (
        Answer(b"", 301, {"Location": "https://x"}),
        UnexpectedAnswerError,
        "a redirect to 'https://x', which is not followed",
    ),
    (
        Answer(b"<html>", 200, {"Content-Type": "text/html"}),
        UnexpectedAnswerError,
        "'text/html' instead of JSON",
    ),
    (Answer(b"\xff\xfe", 200), UnexpectedAnswerError, "200 with JSON that is not valid"),
    (Answer(b"oops", 500, {"Content-Type": "text/html"}), RefusedError, "http://127.0.0.1:"),
    (Answer(b"x" * 100, 200, {"Content-Encoding": "gzip"}), UnexpectedAnswerError, "JSON that is not valid"),
    (Answer(cut=True), UnavailableError, "cannot be reached: "),
]


@pytest.mark.parametrize(("answer", "kind", "words"), REFUSED)
def test_every_failure_is_one_sentence_without_the_token(
    answer: Answer, kind: type[CoordinatorError], words: str
) -> None:
    with scripted_api(answer) as server, pytest.raises(CoordinatorError) as refused:
        ask(server.url, TOKEN)("GET", "runs")
    assert type(refused.value) is kind
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize("page", [[], {"items": []}, {"next_cursor": None}, None, "x"])
def test_invalid_pages_are_unexpected_answers(page: Any) -> None:
    with scripted_api(Answer(page)) as server, pytest.raises(UnexpectedAnswerError, match="without a list"):
        items(server.url, TOKEN, "runs")


def test_unreachable_address_gives_the_reason() -> None:
    with pytest.raises(UnavailableError, match=r"cannot be reached: Connection refused\."):
        Transport(f"http://127.0.0.1:{free_port()}", TOKEN).json("GET", "runs")
    with pytest.raises(UnavailableError, match="cannot be reached: "):
        ask("http://nobody.invalid", TOKEN)("GET", "runs")


def test_unreachable_proxy_is_named_without_its_user(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("HTTP_PROXY", f"http://ada:secret@{proxy}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(UnavailableError) as refused:
        Transport("http://coordinator.example", TOKEN).json("GET", "runs")
    words = f"http://coordinator.example, through the proxy http://{proxy}, cannot be reached: "
    assert str(refused.value).startswith(words)


def test_user_of_a_proxy_is_sent_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with scripted_api(Answer({"items": []})) as proxy:  # which gets the whole address of a plain request
        monkeypatch.setenv("HTTP_PROXY", proxy.url.replace("://", "://ada:p%40ss@"))
        Transport("http://coordinator.example", TOKEN).json("GET", "runs")
    (asked,) = proxy.asked
    assert asked.path == "http://coordinator.example/api/v1/runs"
    assert asked.headers["Proxy-Authorization"] == f"Basic {b64encode(b'ada:p@ss').decode()}"


def test_closed_client_sends_nothing_more() -> None:
    with scripted_api(Answer({})) as server:
        client = Client(f"{server.url}/api/v1/")  # as for curl
        client.close()
        with pytest.raises(RuntimeError, match="has been closed"):
            client.whoami()
    assert (client.server, server.asked) == (server.url, [])


def test_clients_are_listed_though_they_are_imported_late() -> None:
    assert {"AsyncClient", "Client", "NotFoundError"} <= set(dir(coordinator_client))


def test_too_long_answers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_BYTES", 1000)
    with (
        scripted_api(Answer(b"x" * 200_000)) as server,
        pytest.raises(UnexpectedAnswerError, match="more than 1000 bytes"),
    ):
        ask(server.url, TOKEN)("GET", "runs")


def test_silent_server_times_out() -> None:
    nobody_serves_it = HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    with nobody_serves_it as silent, pytest.raises(UnavailableError, match=r"did not answer in time\."):
        ask(f"http://127.0.0.1:{silent.server_port}", TOKEN, timeout=0.3)("GET", "runs")


def test_certificate_of_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    words = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out own.pem"
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "own.pem", tmp_path / "key.pem")
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        with pytest.raises(
            CoordinatorError, match=r"The certificate of https://localhost:\d+ is not accepted"
        ):
            ask(f"https://localhost:{server.server_port}", TOKEN)("GET", "runs")
        serving.join()


@pytest.mark.parametrize(
    "server",
    [
        "coordinator",
        "ftp://host",
        "http://",
        "http://user:word@host",
        "http://host?x=1",
        "http://host:99999",
        "http://[half",
    ],
)
def test_invalid_server_addresses_are_refused_without_showing_passwords(server: str) -> None:
    with pytest.raises(CoordinatorError, match="Invalid address of a coordinator") as refused:
        Transport(server, TOKEN)
    assert "word@" not in str(refused.value)


@pytest.mark.parametrize("token", ["tc_a\nX-Other: b", "tc_é", "tc a"])
def test_invalid_tokens_are_refused_without_showing_them(token: str) -> None:
    with pytest.raises(CoordinatorError) as refused:
        Transport("http://127.0.0.1", token)
    assert token not in str(refused.value)


def test_write_without_a_key_is_repeated_only_if_the_server_says_that_nothing_was_done() -> None:
    def create(*answers: Answer) -> int:
        with scripted_api(*answers) as server, suppress(CoordinatorError):
            ask(server.url, TOKEN)("POST", "webhooks", body={}, repeatable=False)
        assert all("Idempotency-Key" not in asked.headers for asked in server.asked)
        return len(server.asked)

    assert create(Answer(cut=True)) == 1
    assert create(problem(502, "?")) == 1
    assert create(problem(503, "busy")) == 1
    assert create(problem(503, "busy", **{"Retry-After": "1"}), Answer({})) == 2
    assert create(problem(429, "slowly", **{"Retry-After": "1"}), Answer({})) == 2
