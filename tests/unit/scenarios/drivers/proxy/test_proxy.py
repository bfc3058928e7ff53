"""The driver of fault proxies, against a proxy that really listens."""

import asyncio
from typing import Any

import pytest

from injector.leases import FaultTable
from injector.proxy import Proxy
from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.drivers import load_drivers
from scenarios.drivers.proxy_arguments import ProxyLookArguments
from scenarios.ports import FaultCall, FaultDriver
from tests.unit.injector.conftest import until
from tests.unit.scenarios.drivers.conftest import Serve
from tests.unit.scenarios.drivers.proxy.conftest import DRIVER, TOKEN, OneProxy, arguments, call


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
    sentence = (
        rf"listener {relay.name} cannot listen again, still trying: .*; end the process that has its port"
    )
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


async def test_fault_is_removed_where_it_was_injected(platform: OneProxy, closed_port: int) -> None:
    fault = await call(platform)
    await DRIVER.inject(arguments(), platform, fault)
    platform.control = f"http://127.0.0.1:{closed_port}"  # the service has another proxy by now
    assert await DRIVER.remove(arguments(), platform, fault) is True


async def test_wrong_token_unknown_listener_and_no_listener_have_different_errors(
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


async def test_proxy_that_is_full_says_so(
    proxy: Proxy, platform: OneProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("injector.leases.MAX_FAULTS", 0)
    assert isinstance(proxy.faults, FaultTable)
    with pytest.raises(StepNotDone, match="answered 503: this proxy has 0 faults"):
        await DRIVER.inject(arguments(), platform, await call(platform))
