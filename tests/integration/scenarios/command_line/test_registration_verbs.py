"""`scenario service` and `scenario host`: by this machine's database, and with `--server` over the API."""

import platform
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from django.contrib.auth.models import User
from django.db import connection
from pytest_django.fixtures import Settings

from coordinator_client.command_line.remote import RemoteCoordinator
from scenarios.access import tokens
from scenarios.domain.errors import AlreadyRegistered
from scenarios.library import hosts as registered_hosts
from scenarios.library import services as registered_services
from scenarios.management.commands import scenario as command
from scenarios.models import Hold, Host, Service
from scenarios.ports import RegisteredHost
from scenarios.runs import commands as run_commands
from tests.command_line import CommandLine
from tests.in_process_api import in_process_client
from tests.integration.scenarios.story_rows import DOCUMENT
from tests.servers.fault_proxy import TOKEN, running_fault_proxy
from tests.servers.target import running_target

pytestmark = pytest.mark.django_db(transaction=True)
URL = "http://127.0.0.1:9101"
CONTROL = "http://127.0.0.1:8474"


def connect_in_this_process() -> RemoteCoordinator:
    ada = User.objects.create_superuser("ada")
    token = tokens.create_token(ada, "test", ["read", "services"])[1]
    return RemoteCoordinator(in_process_client(token))


@pytest.fixture(params=["local", "remote"])
def scenario(
    request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    monkeypatch.setenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN", TOKEN)
    if request.param == "remote":
        coordinator = connect_in_this_process()
        monkeypatch.setattr(command, "connect", lambda *_where: coordinator)
    return CommandLine(capsys)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_service_is_added_listed_changed_and_removed(scenario: CommandLine) -> None:
    assert "No services are registered" in scenario("service", "list").err
    words = ("--proxy", CONTROL, "--proxy-listener", "127.0.0.1:5433", "--health", "/up", "--protected")
    added = scenario("service", "add", "shop", "--url", URL, *words)
    assert (added.code, added.err) == (0, "")
    assert added.out == f"Service shop is registered at {URL}, behind the fault proxy at {CONTROL}.\n"
    row = scenario("service", "list").out.splitlines()[0]
    assert [word in row for word in ("shop", URL, f"{CONTROL} 127.0.0.1:5433", "yes")] == [True] * 4
    (told,) = scenario("service", "list", "--json").json["items"]
    assert (told["proxy_secret"], told["health_path"], told["held_by"]) == ("FAULT_PROXY_TOKEN", "/up", None)
    changed = scenario("service", "add", "shop", "--url", "tcp://shop:1", "--replace", "--json").json
    assert (changed["base_url"], changed["proxy"], changed["protected"]) == ("tcp://shop:1", CONTROL, True)
    unset = ("--no-protected", "--proxy", "", "--replace", "--json")
    changed = scenario("service", "add", "shop", "--url", URL, *unset).json
    assert (changed["proxy"], changed["proxy_listener"], changed["protected"]) == ("", "", False)
    assert scenario("service", "remove", "shop").out == "Service shop is removed.\n"
    gone = scenario("service", "remove", "shop")
    hint = "'manage.py scenario service list' lists all."
    assert (gone.code, gone.err) == (7, f"There is no service 'shop'; {hint}")


def test_credentials_of_a_service_are_set_kept_and_removed(scenario: CommandLine) -> None:
    words = ("--tls", "{ca: shop.pem}", "--auth", '{"bearer": "${secret:SERVICE_SHOP}"}')
    assert scenario("service", "add", "shop", "--url", URL, *words).code == 0
    kept = scenario("service", "add", "shop", "--url", URL, "--replace", "--json").json
    assert (kept["tls"], kept["auth"]) == ({"ca": "shop.pem"}, {"bearer": "${secret:SERVICE_SHOP}"})
    assert "${secret:SERVICE_SHOP}" in scenario("service", "show", "shop").out
    unset = scenario("service", "add", "shop", "--replace", "--tls", "{}", "--auth", "{}", "--json").json
    assert (unset["tls"], unset["auth"]) == ({}, {})


def test_host_is_added_listed_changed_and_removed(scenario: CommandLine) -> None:
    assert "No hosts are registered" in scenario("host", "list").err
    words = ("--ssh", "chaos@10.0.0.7:2222", "--label", "role=shop", "--label", "tier=a=b")
    added = scenario("host", "add", "shop-1", *words)
    assert (added.code, added.out) == (0, "Host shop-1 is registered at chaos@10.0.0.7:2222.\n")
    assert "the worker's own machine" in scenario("host", "add", "here").out
    here, shop = scenario("host", "list").out.splitlines()
    assert "the worker's own machine" in here
    assert "role=shop, tier=a=b" in shop
    changed = scenario("host", "add", "shop-1", "--label", "role=till", "--replace", "--json").json
    assert (changed["labels"], changed["address"]) == ({"role": "till"}, "chaos@10.0.0.7:2222")
    assert scenario("host", "remove", "here", "--json").json == {"removed": "here"}
    assert scenario("host", "remove", "here").code == 7


def test_add_of_a_registered_name_changes_nothing_without_replace(scenario: CommandLine) -> None:
    scenario("service", "add", "shop", "--url", URL)
    refused = scenario("service", "add", "shop", "--url", "http://elsewhere")
    assert refused.err == f"Service 'shop' is already registered, at {URL}. Add '--replace' to change it."
    scenario("host", "add", "here")
    again = scenario("host", "add", "here", "--ssh", "chaos@elsewhere")
    assert "Host 'here' is already registered, at the machine of the worker. Add '--replace'" in again.err
    assert (refused.code, again.code) == (2, 2)
    assert Service.objects.get().base_url == URL
    assert Host.objects.get().address == ""


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("shop", "--url", "ftp://shop"), "unknown scheme 'ftp'"),
        (("shop", "--url", "tcp://shop"), "has no port"),
        (("shop", "--url", "tcp://::1:80"), "IPv6 address without brackets"),
        (("shop", "--url", "redis://ann:hunter2@cache"), "credentials come from secrets"),
        (("shop", "--url", URL, "--proxy", "tcp://127.0.0.1:8474"), "Invalid proxy: unknown scheme 'tcp'"),
        (("shop", "--url", URL, "--proxy", CONTROL, "--proxy-listener", "127.0.0.1"), "has no port"),
        (("shop", "--url", URL, "--proxy-listener", "127.0.0.1:1"), "A listener needs the fault proxy"),
        (("shop", "--url", URL, "--proxy", CONTROL, "--proxy-secret", "DATABASE"), "FAULT_PROXY"),
        (("shop", "--url", URL, "--health", "up"), "Invalid health_path: "),
        (("shop", "--url", URL, "--auth", "hunter2"), "'--auth' is not a mapping in YAML or JSON"),
        (("shop", "--url", URL, "--auth", "{bearer: hunter2}"), "must be a reference to a secret"),
        (("shop", "--url", URL, "--auth", '{bearer: "${secret:OWN}"}'), "must begin with 'SERVICE'"),
        (("shop", "--url", URL, "--tls", "[ca"), "'--tls' is not a mapping"),
        (("shop", "--url", URL, "--tls", "{verify: .nan}"), "'--tls' is not a mapping"),
        (("shop", "--url", URL, "--tls", "{ca: 2026-01-01, 1: 2}"), "tls"),
        (("shop", "--url", "tcp://shop:1", "--health", "/up"), "has no health path"),
        (("a" * 64, "--url", URL), "at most 63 characters"),
        (("Shop", "--url", URL), "Use a-z"),
    ],
)
def test_services_that_make_no_sense_are_refused(
    scenario: CommandLine, words: tuple[str, ...], part: str
) -> None:
    refused = scenario("service", "add", *words)
    assert (refused.code, refused.out) == (2, "")
    assert part in refused.err
    assert "hunter2" not in refused.err
    assert not Service.objects.exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("shop-1", "--ssh", "10.0.0.7"), "names no user"),
        (("shop-1", "--ssh", "chaos:hunter2@10.0.0.7"), "leave the password out"),
        (("shop-1", "--label", "role"), "Invalid '--label' 'role'; write it as KEY=VALUE"),
        (("shop-1", "--label", "=shop"), "write it as KEY=VALUE"),
        (("shop-1", "--label", "a=1", "--label", "a=2"), "The label 'a' is given twice"),
        (("a" * 64,), "at most 63 characters"),
    ],
)
def test_hosts_that_make_no_sense_are_refused(
    scenario: CommandLine, words: tuple[str, ...], part: str
) -> None:
    refused = scenario("host", "add", *words)
    assert (refused.code, part in refused.err, "hunter2" in refused.err) == (2, True, False), refused.err
    assert not Host.objects.exists()


def test_service_that_works_passes_its_test(scenario: CommandLine) -> None:
    with running_target() as target, running_fault_proxy("127.0.0.1:9") as proxy:
        listener = proxy.listener
        scenario("service", "add", "shop", "--url", target.url, "--proxy", proxy.control)
        told = scenario("service", "test", "shop")
        assert told.code == 0, told.out
        address, health, control, place, faults = told.out.splitlines()
        assert f"ok    address: {target.url} accepted a connection" in address
        assert "ok    health: /health answered 200" in health
        assert (
            control == f"ok    fault proxy: the fault proxy at {proxy.control} answers, and accepts the token"
        )
        assert f"ok    listener: {listener} leads to 127.0.0.1:9, and has no connection" in place
        assert faults == "ok    faults: the proxy has no faults"
        fault: Any = {"listener": listener, "lease": 60, "fault": {"latency": 0.1}}
        headers = {"Authorization": f"Bearer {TOKEN}"}
        requests.put(f"{proxy.control}/faults/f1", json=fault, headers=headers, timeout=60).raise_for_status()
        told = scenario("service", "test", "shop", "--json")
        assert (told.code, told.json["ok"], told.json["service"]) == (0, True, "shop")
        assert (
            f"the proxy has the fault 'f1' on {listener}, which ends in "
            in told.json["checks"][-1]["sentence"]
        )


@pytest.mark.parametrize(
    ("proxy_has", "registered", "part"),
    [
        ((2, TOKEN), "", "listener: register one of the proxy's listeners: 127.0.0.1:"),
        ((1, TOKEN), "127.0.0.1:1", "listener: unknown listener '127.0.0.1:1'; the proxy has 127.0.0.1:"),
        ((1, "another"), "", "does not accept the token of the secret 'FAULT_PROXY_TOKEN'"),
    ],
)
def test_proxy_that_does_not_fit_fails_the_test(
    scenario: CommandLine, port: int, proxy_has: tuple[int, str], registered: str, part: str
) -> None:
    listeners, token = proxy_has
    with running_fault_proxy("127.0.0.1:9", token=token, listeners=listeners) as proxy:
        words = ("--proxy", proxy.control, "--proxy-listener", registered)
        scenario("service", "add", "shop", "--url", f"tcp://127.0.0.1:{port}", *words)
        told = scenario("service", "test", "shop")
    assert (told.code, told.out.splitlines()[0][:2]) == (1, "ok")
    assert part in told.out
    assert TOKEN not in told.out


def test_missing_or_foreign_fault_proxy_fails_the_test(scenario: CommandLine) -> None:
    with running_target() as target:
        scenario("service", "add", "shop", "--url", target.url, "--proxy", target.url)
        told = scenario("service", "test", "shop")
    assert (told.code, "is not a fault proxy: it answered" in told.out) == (1, True), told.out
    gone = scenario("service", "test", "shop")
    assert (gone.code, gone.out.count("refused the connection")) == (1, 3)
    assert scenario("service", "test", "till").code == 7


def test_missing_secret_of_a_proxy_fails_the_test(
    scenario: CommandLine, monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    monkeypatch.delenv("SCENARIO_SECRET_FAULT_PROXY_TOKEN")
    with running_fault_proxy("127.0.0.1:9") as proxy:
        scenario("service", "add", "shop", "--url", f"tcp://127.0.0.1:{port}", "--proxy", proxy.control)
        told = scenario("service", "test", "shop")
    assert (told.code, "the secret 'FAULT_PROXY_TOKEN' is missing" in told.out) == (1, True)


def test_host_is_tested_by_its_port_and_by_what_the_driver_says(
    scenario: CommandLine, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[RegisteredHost] = []

    async def describe(host: RegisteredHost) -> dict[str, Any]:
        asked.append(host)
        kinds = {"pause": "", "kill": "", "disk": "'disk' is not allowed"}
        return {"ok": True, "kinds": kinds, "kernel": "6.1", "systemd": False}

    monkeypatch.setattr("scenarios.library.host_checks._find_description", lambda: describe)
    scenario("host", "add", "shop-1", "--ssh", f"chaos@127.0.0.1:{port}", "--label", "role=shop")
    told = scenario("host", "test", "shop-1")
    assert told.code == 0
    assert told.out.splitlines() == [
        f"ok    address: 127.0.0.1:{port} accepts connections",
        "ok    host program: it answers: kernel 6.1, systemd no",
        "ok    faults: it can inject pause, kill",
        "ok    faults: it cannot inject disk: not allowed",
    ]
    assert asked == [RegisteredHost("shop-1", f"chaos@127.0.0.1:{port}", {"role": "shop"})]
    monkeypatch.setattr("scenarios.library.host_checks._find_description", lambda: None)
    scenario("host", "add", "gone", "--ssh", "chaos@127.0.0.1:9")
    refused = scenario("host", "test", "gone", "--json")
    assert (refused.code, refused.json["ok"]) == (1, False)
    assert "refused the connection" in refused.json["checks"][0]["sentence"]


def test_workers_own_machine_is_tested_by_the_host_program(scenario: CommandLine, settings: Settings) -> None:
    scenario("host", "add", "here")
    settings.ALLOWED_HOST_FAULTS = ("disk",)
    told = scenario("host", "test", "here")
    assert told.code == 0, told.out
    assert "ok    address: it is the worker's own machine" in told.out
    assert f"kernel {platform.release()}" in told.out
    assert "it can inject disk" in told.out
    settings.ALLOWED_HOST_FAULTS = ()
    refused = scenario("host", "test", "here")
    assert refused.code == 1
    assert "wrong faults: it cannot inject pause, kill" in refused.out
    assert refused.out.count("not allowed") == 1


def test_held_service_or_host_is_not_removed(scenario: CommandLine) -> None:
    run = run_commands.start_run(DOCUMENT, {}, origin="cli")
    for name in ("shop", "host/shop-1"):
        Hold.objects.create(service=name, run=run)
    scenario("service", "add", "shop", "--url", URL)
    scenario("host", "add", "shop-1")
    for words in (("service", "remove", "shop"), ("host", "remove", "shop-1")):
        refused = scenario(*words)
        assert (refused.code, f"cannot be deleted now, because it is held by {run}" in refused.err) == (
            2,
            True,
        )
    assert (Service.objects.count(), Host.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    "register",
    [
        lambda: registered_services.register_service("shop", URL, only_new=True),
        lambda: registered_hosts.register_host("shop", only_new=True),
    ],
)
def test_second_of_two_concurrent_additions_of_a_name_is_refused(register: Callable[[], object]) -> None:
    begin, refused = threading.Barrier(4), []

    def add() -> None:
        try:
            begin.wait(timeout=120)
            register()
        except AlreadyRegistered as error:
            refused.append(error)
        finally:
            connection.close()

    adders = [threading.Thread(target=add) for _ in range(4)]
    for adder in adders:
        adder.start()
    for adder in adders:
        adder.join()
    assert (len(refused), Service.objects.count() + Host.objects.count()) == (3, 1)
