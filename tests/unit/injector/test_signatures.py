"""Requests that prove that their sender has the token."""

import asyncio
import json
import ssl
from pathlib import Path

import pytest

from injector import signatures
from injector.configuration import Listener, ServerTls, SettingError, Settings
from injector.proxy import Proxy
from injector.signatures import format_authorization
from injector.tokens import Tokens
from tests.servers.certificates import Authority
from tests.unit.injector.conftest import TOKEN, Bench


async def make_nonce(bench: Bench) -> str:
    answer = await bench.ask("GET", "/challenge", token="")
    assert answer.status == 200
    return str(answer.content["nonce"])


async def send_signed(bench: Bench, proof: str, method: str, path: str, body: bytes = b"") -> int:
    return (await bench.send(method, path, proof, body)).status


async def test_signed_request_is_accepted_once(bench: Bench) -> None:
    fault = {"listener": bench.listener, "lease": 60, "fault": {"latency": 0.3}}
    body = json.dumps(fault).encode()
    nonce = await make_nonce(bench)
    proof = format_authorization(TOKEN, nonce, "PUT", "/faults/f1", body)
    assert TOKEN not in proof
    assert await send_signed(bench, proof, "PUT", "/faults/f1", body) == 201
    bench.proxy.faults.remove("f1")
    assert await send_signed(bench, proof, "PUT", "/faults/f1", body) == 401
    other = format_authorization(TOKEN, nonce, "GET", "/faults", b"")
    assert await send_signed(bench, other, "GET", "/faults") == 401


async def test_nothing_of_a_signed_request_can_be_changed(bench: Bench) -> None:
    nonce = await make_nonce(bench)
    proof = format_authorization(TOKEN, nonce, "POST", "/faults/f1/renew", b'{"lease": 1}')
    for method, path, body in (
        ("PUT", "/faults/f1/renew", b'{"lease": 1}'),
        ("POST", "/faults/f2/renew", b'{"lease": 1}'),
        ("POST", "/faults/f1/renew", b'{"lease": 9}'),
    ):
        assert await send_signed(bench, proof, method, path, body) == 401
    # The code was wrong: that has not used the nonce up.
    assert await send_signed(bench, proof, "POST", "/faults/f1/renew", b'{"lease": 1}') == 404


async def test_proofs_that_prove_nothing_are_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    nonce = await make_nonce(bench)
    good = format_authorization(TOKEN, nonce, "GET", "/faults", b"")
    mac = good.rpartition("=")[2]
    invented = ("1.0-ab-cd", "nan-1-1", "-", "0", "1e999-x-y", f"{nonce}0", f"1{nonce}")
    proofs = [format_authorization(TOKEN, made, "GET", "/faults", b"") for made in invented]
    proofs += [format_authorization("wrong", nonce, "GET", "/faults", b""), "HMAC-SHA256", "Basic eDp5"]
    proofs += [f"HMAC-SHA256 nonce={nonce}, mac={mac[:-1]}", f"Bearer {mac}", f"HMAC-SHA256 mac={mac}"]
    for proof in proofs:
        assert await send_signed(bench, proof, "GET", "/faults") == 401
    monkeypatch.setattr(signatures, "NONCE_SECONDS", -1.0)
    assert await send_signed(bench, good, "GET", "/faults") == 401


def build_proxy(tls: ServerTls) -> Proxy:
    listener = Listener(("127.0.0.1", 0), ("127.0.0.1", 1))
    return Proxy(Settings((listener,), ("127.0.0.1", 0), tls), Tokens([TOKEN]))


async def test_control_api_speaks_tls_with_the_certificate_that_is_there(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    tls = ServerTls(str(authority.issue("proxy", "control.pem", begins=-9, expires=-2)))
    proxy = build_proxy(tls)
    await proxy.start()
    assert proxy.control_url == "https://127.0.0.1:{1}".format(*proxy.control_address)
    trusting = ssl.create_default_context(cafile=authority.path)

    async def ask() -> bytes:
        place = proxy.control_address
        reader, writer = await asyncio.open_connection(*place, ssl=trusting, server_hostname="proxy")
        writer.write(b"GET /health HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        await ask()
    authority.issue("proxy", "control.pem")
    settings = Settings((Listener(("127.0.0.1", 0), ("127.0.0.1", 1)),), ("127.0.0.1", 0), tls)
    await proxy.reload(settings)
    assert b"200 OK" in await ask()
    with pytest.raises(SettingError, match="changes only with a restart"):
        await proxy.reload(Settings(settings.listeners, settings.control))
    proxy.stop()


async def test_certificate_of_the_control_api_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.pem"
    path.write_text("nothing")
    proxy = build_proxy(ServerTls(str(path)))
    with pytest.raises(SettingError, match="certificate of the control API cannot be used"):
        await proxy.start()
    proxy.stop()
