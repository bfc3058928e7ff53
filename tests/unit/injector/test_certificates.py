"""Certificates of listeners that have expired, are not valid yet, or cannot be used."""

import logging
from pathlib import Path

import pytest
from cryptography import x509

from injector.certificates import read_validity
from injector.configuration import Listener, ServerTls, SettingError, Settings
from injector.proxy import Proxy
from injector.tokens import Tokens
from tests.servers.certificates import Authority
from tests.unit.injector.conftest import TOKEN, Bench

ANY = ("127.0.0.1", 0)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.mark.parametrize("days", [(-20, -10), (-1, 1), (1, 90), (-1, 365 * 60)])
def test_validity_is_the_one_of_the_certificate(authority: Authority, days: tuple[int, int]) -> None:
    path = authority.issue("shop.internal", "shop.pem", begins=days[0], expires=days[1])
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    found = read_validity(str(path))
    assert (found.begins, found.expires) == (
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"])
def test_file_without_a_certificate_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.pem").write_text(text)
    with pytest.raises(ValueError, match=r"a\.pem' has "):
        read_validity(str(tmp_path / "a.pem"))


@pytest.mark.parametrize(
    ("days", "words"), [((-9, -2), "expired on "), ((2, 9), "is not valid before "), ((-2, 9), "")]
)
async def test_certificate_that_is_not_valid_now_is_reported(
    authority: Authority, bench: Bench, caplog: pytest.LogCaptureFixture, days: tuple[int, int], words: str
) -> None:
    path = authority.issue("shop", "shop.pem", begins=days[0], expires=days[1])
    upstream = (bench.relay.upstream.host, bench.relay.upstream.port)
    settings = Settings((Listener(ANY, upstream, ServerTls(str(path))),), ANY)
    proxy = Proxy(settings, Tokens([TOKEN]))
    with caplog.at_level(logging.WARNING):
        await proxy.start()
    own = Bench(proxy)
    described = (await own.ask("GET", "/listeners")).content[own.listener]
    metrics = (await own.ask("GET", "/metrics")).content
    expires = read_validity(str(path)).expires.timestamp()
    name = "fault_proxy_certificate_expiry_timestamp_seconds"
    assert f'{name}{{listener="{own.listener}"}} {expires}' in metrics
    for text in (described.get("certificate_problem", ""), caplog.text):
        assert (f"certificate '{path}' {words}" in text) if words else not text
    authority.issue("shop", "shop.pem")
    await proxy.reload(settings)
    assert "certificate_problem" not in (await own.ask("GET", "/listeners")).content[own.listener]
    proxy.stop()


async def test_key_of_another_certificate_is_refused(authority: Authority) -> None:
    certificate, other = (str(authority.issue("shop", name)) for name in ("one.pem", "other.pem"))
    listener = Listener(ANY, ("127.0.0.1", 1), ServerTls(certificate, other))
    with pytest.raises(SettingError, match=rf"cannot be used: .*; look at {certificate}, {other}"):
        await Proxy(Settings((listener,), ANY), Tokens([TOKEN])).start()
