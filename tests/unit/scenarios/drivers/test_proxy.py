"""The driver of fault proxies, against a proxy that really listens."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from injector.configuration import Listener, ServerTls, Settings
from injector.faults import Direction, Fault
from injector.http_faults import HttpFault
from injector.leases import FaultTable
from injector.proxy import Proxy
from injector.tokens import Tokens
from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.drivers import load_drivers
from scenarios.drivers.proxy import Proxy as ProxyDriver
from scenarios.drivers.proxy_arguments import ProxyArguments, ProxyLookArguments
from scenarios.ports import FaultCall, FaultDriver
from scenarios.ports import Proxy as ProxyOfService
from tests.servers.certificates import Authority
from tests.unit.injector.conftest import until
from tests.unit.scenarios.drivers.conftest import Platform, Serve

TOKEN = "open-sesame"


@dataclass
class OneProxy(Platform):
    control: str = ""
    listener: str = ""
    token: str = TOKEN
    asked: list[str] = field(default_factory=list)

    def proxy_of(self, service: str) -> ProxyOfService:
        self.asked.append(service)
        return ProxyOfService(self.control, self.listener, self.token)


@pytest.fixture
async def proxy() -> AsyncIterator[Proxy]:
    listener = Listener(("127.0.0.1", 0), ("127.0.0.1", 1))
    proxy = Proxy(Settings((listener,), ("127.0.0.1", 0)), Tokens([TOKEN]))
    await proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def platform(proxy: Proxy) -> OneProxy:
    return OneProxy(control="http://{}:{}/".format(*proxy.control_address), listener=next(iter(proxy.relays)))


DRIVER = ProxyDriver()


def arguments(**words: Any) -> ProxyArguments:
    return ProxyArguments.model_validate({"service": "exchange", **(words or {"latency": "300ms"})})


async def call(platform: OneProxy, fault_id: str = "f1", lease: float = 60, **words: Any) -> FaultCall:
    return FaultCall(fault_id, lease, await DRIVER.choose_target(arguments(**words), platform))


def test_the_driver_is_loaded_as_one_of_faults() -> None:
    driver = load_drivers(["scenarios.drivers.proxy.Proxy"])["proxy"]
    assert isinstance(driver, FaultDriver)
    assert driver.is_leased({"service": "exchange", "hang": True})


async def test_target_has_all_but_the_token(platform: OneProxy) -> None:
    target = await DRIVER.choose_target(arguments(), platform)
    place = platform.control.removeprefix("http://").rstrip("/")
    assert target == {
        "control": platform.control,
        "listener": platform.listener,
        "label": f"exchange by its proxy {place}",
    }


async def test_fault_is_injected_renewed_removed_and_looked_for(proxy: Proxy, platform: OneProxy) -> None:
    fault = await call(platform)
    assert not await DRIVER.is_present(arguments(), platform, fault)
    done = await DRIVER.inject(arguments(), platform, fault)
    assert done["fault"] == {"latency": 0.3}
    assert TOKEN not in str(done)
    assert await DRIVER.is_present(arguments(), platform, fault)
    await DRIVER.renew(arguments(), platform, FaultCall(fault.id, 600, fault.target))
    assert proxy.faults.find("f1").seconds_left > 60
    assert await DRIVER.remove(arguments(), platform, fault) is True
    assert await DRIVER.remove(arguments(), platform, fault) is False
    assert not await DRIVER.is_present(arguments(), platform, fault)


async def test_probe_counts_what_the_faults_touch(proxy: Proxy, platform: OneProxy) -> None:
    look = ProxyLookArguments(service="exchange")
    assert await DRIVER.probe(look, platform) == {"touched": 0, "faults": 0, "connections": 0}
    await DRIVER.inject(arguments(hang=True), platform, await call(platform, hang=True))
    assert await DRIVER.probe(look, platform) == {"touched": 0, "faults": 1, "connections": 0}
    _, writer = await asyncio.open_connection(*next(iter(proxy.relays.values())).address)

    async def is_touched() -> bool:
        return bool((await DRIVER.probe(look, platform))["touched"])

    await until(is_touched)
    found = await DRIVER.probe(look, platform)
    assert (found["touched"], found["faults"]) == (1, 1)
    writer.close()
    platform.listener = "127.0.0.1:1"
    with pytest.raises(StepImpossible, match=r"no listener '127\.0\.0\.1:1'"):
        await DRIVER.probe(look, platform)
    with pytest.raises(StepImpossible, match="only looks: use it as a probe"):
        await DRIVER.act(look, platform)


async def test_refusal_is_not_over_while_another_process_has_the_port(
    proxy: Proxy, platform: OneProxy
) -> None:
    refusal = arguments(refuse=True)
    fault = await call(platform, refuse=True)
    await DRIVER.inject(refusal, platform, fault)
    (relay,) = proxy.relays.values()
    other = await asyncio.start_server(lambda _reader, writer: writer.close(), *relay.address)
    await DRIVER.remove(refusal, platform, fault)

    async def is_known() -> bool:
        return bool(relay.problem)

    await until(is_known)
    sentence = rf"listener {relay.name} cannot listen again, tries on: .*; end the process that has its port"
    with pytest.raises(StepFailed, match=sentence):
        await DRIVER.is_present(refusal, platform, fault)
    assert not await DRIVER.is_present(arguments(), platform, fault)  # only refusals wait for the port
    other.close()

    async def listens() -> bool:
        return relay.is_listening

    await until(listens)
    assert not await DRIVER.is_present(refusal, platform, fault)


async def test_injection_that_arrives_after_its_removal_is_not_done(platform: OneProxy) -> None:
    fault = await call(platform)
    await DRIVER.remove(arguments(), platform, fault)
    with pytest.raises(StepNotDone, match="removed before"):
        await DRIVER.inject(arguments(), platform, fault)


async def test_renewal_at_a_proxy_that_was_restarted_finds_the_fault_gone(
    proxy: Proxy, platform: OneProxy
) -> None:
    fault = await call(platform)
    await DRIVER.inject(arguments(), platform, fault)
    proxy.faults.close()  # a new process has no faults
    with pytest.raises(FaultGone, match="does not have the fault any more"):
        await DRIVER.renew(arguments(), platform, fault)


async def test_token_is_asked_for_at_each_call(platform: OneProxy) -> None:
    fault = await call(platform)
    platform.token = "changed"
    with pytest.raises(StepNotDone, match="does not accept the token"):
        await DRIVER.inject(arguments(), platform, fault)
    platform.token = TOKEN
    await DRIVER.inject(arguments(), platform, fault)


async def test_fault_is_removed_where_it_was_injected(platform: OneProxy, closed_port: int) -> None:
    fault = await call(platform)
    await DRIVER.inject(arguments(), platform, fault)
    platform.control = f"http://127.0.0.1:{closed_port}"  # the service has another proxy by now
    assert await DRIVER.remove(arguments(), platform, fault) is True


async def test_wrong_token_unknown_listener_and_no_listener_are_told_apart(
    platform: OneProxy, closed_port: int
) -> None:
    platform.token = "wrong"
    with pytest.raises(StepImpossible, match="does not accept the token: use the token of"):
        await DRIVER.choose_target(arguments(), platform)
    platform.token, listener = TOKEN, platform.listener
    platform.listener = "127.0.0.1:1"
    with pytest.raises(StepImpossible, match=f"no listener '127.0.0.1:1': .* one of {listener}"):
        await DRIVER.choose_target(arguments(), platform)
    platform.listener = ""  # the only one that the proxy has
    assert (await DRIVER.choose_target(arguments(), platform))["listener"] == listener
    platform.control = f"http://127.0.0.1:{closed_port}"
    with pytest.raises(StepImpossible, match="refused the connection: start it, or correct"):
        await DRIVER.choose_target(arguments(), platform)


async def test_another_server_is_not_taken_for_a_fault_proxy(platform: OneProxy, serve: Serve) -> None:
    async def respond(reader: Any, writer: Any) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nhello")
        await writer.drain()

    fault = await call(platform)
    platform.control = await serve(respond)
    with pytest.raises(StepImpossible, match="is not a fault proxy: it answered 404"):
        await DRIVER.choose_target(arguments(), platform)
    elsewhere = FaultCall("f1", 60, {**fault.target, "control": platform.control})
    with pytest.raises(StepFailed, match="not a fault proxy's answer"):
        await DRIVER.is_present(arguments(), platform, elsewhere)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (
            {"latency": "300ms", "jitter": "50ms", "share": 0.2, "direction": "down"},
            Fault(latency=0.3, jitter=0.05, share=0.2),
        ),
        ({"refuse": True}, Fault(refuse=True)),
        ({"hang": True, "share": "20%", "seed": 7}, Fault(hang=True, share=0.2, seed=7)),
        ({"reset": True}, Fault(reset=True)),
        ({"reset": {"after": "4KiB"}}, Fault(reset_after=4096)),
        ({"cut": {"after": "0B"}, "direction": "up"}, Fault(cut_after=0, direction=Direction.UP)),
        ({"bandwidth": "20KiB/s"}, Fault(bandwidth=20480)),
        ({"slow_close": "1s", "corrupt": "1%"}, Fault(slow_close=1, corrupt=0.01)),
        (
            {"http": {"path": "/charge", "method": "post", "status": 503, "first": 2}},
            Fault(http=HttpFault(path="/charge", method="POST", status=503, first=2)),
        ),
        (
            {"http": {"truncate": "1KiB", "headers": {"X-Id": 5}}, "share": "20%", "seed": 3},
            Fault(http=HttpFault(truncate=1024, headers={"x-id": "5"}, share=0.2, seed=3), share=0.2, seed=3),
        ),
    ],
)
async def test_words_arrive_at_the_proxy(
    proxy: Proxy, platform: OneProxy, words: dict[str, Any], fault: Fault
) -> None:
    await DRIVER.inject(arguments(**words), platform, await call(platform, **words))
    assert proxy.faults.find("f1").fault == fault


async def test_proxy_that_is_full_says_so(
    proxy: Proxy, platform: OneProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("injector.leases.MAX_FAULTS", 0)
    assert isinstance(proxy.faults, FaultTable)
    with pytest.raises(StepNotDone, match="answered 503: this proxy has 0 faults"):
        await DRIVER.inject(arguments(), platform, await call(platform))


@pytest.mark.parametrize(
    ("words", "place", "sentence"),
    [
        ({}, (), "no effect: give at least one of 'latency'"),
        ({"refuse": False}, (), "no effect"),
        ({"jitter": "1s", "hang": True}, ("jitter",), "needs 'latency'"),
        ({"latency": "1s", "jitter": "2s"}, ("jitter",), "more than 'latency'"),
        ({"latency": 3}, ("latency",), "number without a unit"),
        ({"latency": "2h"}, ("latency",), "at most 1h"),
        ({"bandwidth": "20KiB"}, ("bandwidth",), "such as '20KiB/s'"),
        ({"cut": {"after": 4}}, ("cut", "after"), "number without a unit"),
        ({"cut": {}}, ("cut", "after"), "required"),
        ({"hang": True, "share": "0%"}, ("share",), "is not a share"),
        ({"http": {"path": "/"}}, ("http",), "no effect: give at least one of 'status'"),
        ({"http": {"status": 503, "path": "/a*b"}}, ("http", "path"), "before its end"),
        ({"http": {"status": 503, "first": 1, "share": 0.1}}, ("http", "share"), "cannot be combined"),
        ({"http": {"status": 503, "first": 1}, "share": 0.1}, ("share",), "cannot be combined"),
    ],
)
def test_words_that_make_no_sense_are_refused_at_their_place(
    words: dict[str, Any], place: tuple[str, ...], sentence: str
) -> None:
    with pytest.raises(ValidationError) as refusal:
        ProxyArguments.model_validate({"service": "exchange", **words})
    (error,) = refusal.value.errors()
    assert error["loc"] == place
    assert sentence in error["msg"]


def test_words_of_http_are_numbers_for_the_proxy() -> None:
    http = {"path": "/pay/*", "method": "post", "delay": "1s", "truncate": "1KiB", "share": "20%"}
    assert arguments(http=http).to_wire() == {
        "http": {"path": "/pay/*", "method": "POST", "delay": 1.0, "truncate": 1024, "share": 0.2}
    }
    assert arguments(http={"status": 503, "set_headers": {"Retry-After": 3}}).to_wire() == {
        "http": {"status": 503, "set_headers": {"Retry-After": "3"}}
    }


def test_a_reset_is_true_or_after_some_bytes() -> None:
    for value, place in (("soon", ("reset", "flag")), ({"before": "1B"}, ("reset", "mapping", "after"))):
        with pytest.raises(ValidationError) as refusal:
            arguments(reset=value)
        assert place in {error["loc"] for error in refusal.value.errors()}


def test_schema_offers_both_kinds_of_reset() -> None:
    schema = ProxyArguments.model_json_schema()
    assert schema["properties"]["reset"]["anyOf"] == [{"$ref": "#/$defs/After"}, {"type": "boolean"}]


class Thief:
    """A server that a service names as its proxy. It says what it is told to, and keeps all it gets."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.got = b""

    async def respond(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.got += await reader.readuntil(b"\r\n\r\n")
        body = self.answers[min(self.got.count(b"HTTP/1.1\r\n"), len(self.answers)) - 1]
        status = b"200 OK" if b"nonce" in body else b"401 Unauthorized"
        writer.write(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body))
        await writer.drain()


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"nonce": "n"}', b'{"nonce": 5}', b'{"error": "Bearer, please"}']
)
async def test_token_is_never_sent_to_what_a_service_names_as_its_proxy(
    platform: OneProxy, serve: Serve, answer: bytes
) -> None:
    thief = Thief(answer, b"{}")
    platform.control = await serve(thief.respond)
    with pytest.raises(StepImpossible):
        await DRIVER.choose_target(arguments(), platform)
    assert thief.got.startswith(b"GET /challenge")
    assert TOKEN.encode() not in thief.got


async def test_only_proxies_that_the_settings_name_are_asked(
    platform: OneProxy, serve: Serve, settings: Any
) -> None:
    thief = Thief(b"{}")
    settings.FAULT_PROXIES = (platform.control.upper().replace("HTTP:", "http:").rstrip("/"), "https://[::1]")
    await DRIVER.choose_target(arguments(), platform)
    platform.control = await serve(thief.respond)
    with pytest.raises(StepImpossible, match="is not one of FAULT_PROXIES, which names http://127"):
        await DRIVER.choose_target(arguments(), platform)
    assert thief.got == b""


async def test_earlier_proxy_gets_the_token_if_the_settings_name_it(
    platform: OneProxy, serve: Serve, settings: Any
) -> None:
    earlier = Thief(b"{}")
    platform.control = await serve(earlier.respond)
    with pytest.raises(StepImpossible, match="an earlier version needs the token itself; update it, or name"):
        await DRIVER.choose_target(arguments(), platform)
    settings.FAULT_PROXIES = (platform.control,)
    with pytest.raises(StepImpossible, match="does not accept the token"):
        await DRIVER.choose_target(arguments(), platform)
    assert b"Authorization: Bearer open-sesame\r\n" in earlier.got


async def test_proxy_whose_certificate_is_not_trusted_gets_nothing(tmp_path: Path) -> None:
    certificate = Authority(tmp_path).issue("proxy", "control.pem")
    listener = Listener(("127.0.0.1", 0), ("127.0.0.1", 1))
    settings = Settings((listener,), ("127.0.0.1", 0), ServerTls(str(certificate)))
    proxy = Proxy(settings, Tokens([TOKEN]))
    await proxy.start()
    with pytest.raises(StepImpossible, match="has a certificate that is not trusted"):
        await DRIVER.choose_target(arguments(), OneProxy(control=proxy.control_url))
    proxy.stop()
