"""`cookies: keep`: who gets which cookie, and that none of them is shown."""

import re
from typing import Any

import pytest

from scenarios.domain.errors import StepImpossible
from scenarios.domain.redaction import MAX_PASSING, Redactor
from scenarios.drivers.cookies import MAX_COOKIES
from scenarios.drivers.http import Http
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.engine.step_platform import StepPlatform
from scenarios.ports import Intent
from tests.unit.scenarios.load.sent_loads import Server, say, serving

from .conftest import Platform


class Run:
    """The steps of one run, which send requests to `exchange` and to another service."""

    def __init__(self, address: str) -> None:
        self._platform = _Services(address)
        self._cookies: dict[str, Any] = {}
        self.redactor = Redactor()

    async def ask(self, path: str = "/", **words: Any) -> dict[str, Any]:
        arguments = {"service": "exchange", "path": path, "cookies": "keep", "timeout": "300s", **words}
        if "url" in words:
            del arguments["service"], arguments["path"]
        platform = StepPlatform(self._platform, None, Intent.READ, frozenset(), self.redactor, self._cookies)
        return dict(await Http().probe(HttpArguments.model_validate(arguments), platform))


class _Services(Platform):
    def address_of(self, service: str) -> str:
        return self.address if service == "other" else super().address_of(service)


def respond(*lines: str, status: str = "200 OK") -> bytes:
    head = [f"HTTP/1.1 {status}", "Content-Length: 0", "Connection: close", *lines]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")


def set_cookies(*cookies: str) -> Any:
    """A server that sets these at every path that begins with /set."""
    lines = [f"Set-Cookie: {cookie}" for cookie in cookies]
    return lambda request, writer: say(respond(*(lines if request[:8] == b"GET /set" else ())), writer)


def sent(server: Server) -> list[str]:
    """The header of each request, or ""."""
    found = (re.search(rb"\r\nCookie: ([^\r]*)", request) for request in server.requests)
    return [match[1].decode("latin-1") if match else "" for match in found]


@pytest.mark.parametrize(
    ("cookie", "path", "header"),
    [
        ("sid=abc123", "/orders", "sid=abc123"),
        ("sid=abc123; Path=/orders", "/orders/7", "sid=abc123"),
        ("sid=abc123; Path=/orders", "/ordersheet", ""),
        ("sid=abc123; Path=/orders", "/", ""),
        ("sid=a=b==", "/", "sid=a=b=="),
        ("sid=abc123; Max-Age=0", "/", ""),
        ("sid=abc123; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/", ""),
        ("sid=abc123; Secure", "/", ""),
        ("sid=abc123; Domain=elsewhere.test", "/", ""),
        ("sid=abc123; HttpOnly; SameSite=Strict", "/", "sid=abc123"),
    ],
)
async def test_cookie_is_sent_where_its_server_wants_it(cookie: str, path: str, header: str) -> None:
    async with serving(set_cookies(cookie)) as server:
        run = Run(f"http://127.0.0.1:{server.port}")
        await run.ask("/set")
        await run.ask(path)
        assert sent(server) == ["", header]


async def test_path_of_a_cookie_without_one_is_that_of_its_response() -> None:
    async with serving(set_cookies("sid=abc123")) as server:
        run = Run(f"http://127.0.0.1:{server.port}")
        await run.ask("/set/session")
        await run.ask("/set/other")
        await run.ask("/orders")
        assert sent(server) == ["", "sid=abc123", ""]


async def test_cookies_are_of_one_run_one_service_and_steps_that_keep_them() -> None:
    async with serving(set_cookies("sid=abc123")) as server:
        address = f"http://127.0.0.1:{server.port}"
        run = Run(address)
        await run.ask("/set", cookies="keep")
        arguments = HttpArguments.model_validate({"service": "exchange", "path": "/"})
        await Http().probe(arguments, Platform(address))
        await run.ask(service="other")
        await run.ask(url=f"{address}/")
        await Run(address).ask()
        assert sent(server) == [""] * 5
        await run.ask()
        assert sent(server)[-1] == "sid=abc123"


async def test_a_redirect_of_a_login_keeps_its_cookie() -> None:
    login = respond("Set-Cookie: sid=abc123", "Location: /home", status="302 Found")
    async with serving(
        lambda request, writer: say(login if b"/login" in request[:12] else respond(), writer)
    ) as server:
        run = Run(f"http://127.0.0.1:{server.port}")
        await run.ask("/login", follow_redirects=True)
        assert sent(server) == ["", "sid=abc123"]


async def test_another_origin_gets_no_cookie_and_sets_none() -> None:
    async with serving(set_cookies("sid=abc123", "from=elsewhere")) as other:
        away = respond(
            "Set-Cookie: sid=abc123; Path=/",
            f"Location: http://127.0.0.1:{other.port}/set",
            status="302 Found",
        )
        async with serving(lambda _request, writer: say(away, writer)) as server:
            run = Run(f"http://127.0.0.1:{server.port}")
            await run.ask("/", follow_redirects=True)
            await run.ask("/")
            assert sent(other) == [""]
            assert sent(server) == ["", "sid=abc123"]


async def test_values_of_cookies_are_secrets() -> None:
    async with serving(set_cookies("sid=correct-horse-battery", "language=en")) as server:
        run = Run(f"http://127.0.0.1:{server.port}")
        fields = await run.ask("/set")
        shown = str(run.redactor.redact(fields))
        assert "correct-horse-battery" not in shown
        assert "language=en" in shown  # too short for a secret: every 'en' would be redacted


async def test_a_server_cannot_fill_the_memory() -> None:
    """It sets 40 new cookies with each response; those that are known may still change."""
    seen: list[int] = []

    async def answer(request: bytes, writer: Any) -> None:
        seen.append(len(seen))
        lines = [f"Set-Cookie: c{len(seen)}x{number}=value-{number}" for number in range(40)]
        await say(respond(f"Set-Cookie: last=number-{len(seen)}", *lines), writer)

    async with serving(answer) as server:
        run = Run(f"http://127.0.0.1:{server.port}")
        for _ in range(4):
            await run.ask("/")
        cookies = sent(server)[-1].split("; ")
        assert len(cookies) <= MAX_COOKIES
        assert "last=number-3" in cookies


def test_values_that_pass_are_known_for_a_while_and_secrets_for_ever() -> None:
    redactor = Redactor()
    redactor.learn("a real secret")
    redactor.learn_passing("a real secret")
    redactor.learn_passing("first-visit-of-ada")
    redactor.learn_passing("became-a-secret")
    redactor.learn("became-a-secret")
    for number in range(MAX_PASSING):
        redactor.learn_passing(f"session-number-{number:05}")
    assert redactor.redact("session-number-00099") == "***"
    assert redactor.redact("a real secret, became-a-secret") == "***, ***"
    assert redactor.redact("first-visit-of-ada") == "first-visit-of-ada"


async def test_a_step_outside_a_run_keeps_nothing() -> None:
    arguments = HttpArguments.model_validate({"service": "exchange", "cookies": "keep"})
    with pytest.raises(StepImpossible, match="only for the steps of a run"):
        await Http().probe(arguments, Platform())
