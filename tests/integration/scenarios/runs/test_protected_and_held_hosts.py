"""Registered hosts are held and protected like services, whatever their name and spelling."""

import asyncio
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepImpossible
from scenarios.domain.plan import Step
from scenarios.models import Host, Run
from scenarios.ports import Connection, Intent
from scenarios.runs import admission, approval_gate, host_targets
from scenarios.runs.gate import RunGate
from scenarios.runs.host_targets import HostTargets

pytestmark = pytest.mark.django_db(transaction=True)

COMMAND = Step("command", {"run": ["true"]})


@pytest.fixture(autouse=True)
def registered(settings: Settings) -> None:
    settings.HOST_NAME = "alpha"
    for name, address, role in (
        ("shop-1", "chaos@10.0.0.7:22", "shop"),
        ("shop-2", "chaos@10.0.0.8", "shop"),
        ("till", "root@10.0.0.7:2222", "till"),
        ("here", "", "worker"),
        ("loop", "chaos@127.0.0.1", "worker"),
    ):
        Host.objects.create(name=name, address=address, labels={"role": role, "site": "a=b"})


def on_host(**arguments: Any) -> Step:
    return Step("host", {"blackhole": {"to": "10.0.0.9"}, **arguments})


@pytest.mark.parametrize(
    ("step", "touched"),
    [
        (on_host(name="shop-2"), {"host/shop-2"}),
        (on_host(name="shop-1"), {"host/shop-1", "host/till"}),
        (on_host(name="unknown"), {"host/unknown"}),
        (on_host(where={"role": "shop"}), {"host/shop-1", "host/shop-2", "host/till"}),
        (on_host(where={"role": "shop", "site": "elsewhere"}), set()),
        (on_host(name="here"), {"host/here", "host/loop", "host/*"}),
        (COMMAND, {"host/here", "host/loop", "host/*"}),
        (Step("http", {"url": "http://10.0.0.7:80"}), {"10.0.0.7:80"}),
    ],
)
def test_run_touches_the_hosts_it_selects_and_those_at_the_same_place(step: Step, touched: set[str]) -> None:
    assert set(admission.find_touched([step])) == touched


def protect(name: str) -> None:
    Host.objects.filter(name=name).update(is_protected=True)


@pytest.mark.parametrize(
    ("step", "name", "asked"),
    [
        (on_host(name="shop-1"), "shop-1", ["host/shop-1"]),
        (on_host(where={"role": "shop"}), "shop-2", ["host/shop-2"]),
        (on_host(name="shop-1"), "till", ["host/till"]),
        (on_host(name="shop-1"), "shop-2", []),
        (COMMAND, "here", ["host/here"]),
        (COMMAND, "shop-1", []),
    ],
)
def test_protected_host_needs_an_approval(step: Step, name: str, asked: list[str]) -> None:
    protect(name)
    assert admission.find_touched_and_protected([step])[1] == asked


def test_setting_protects_hosts_beside_the_registered_ones(settings: Settings) -> None:
    settings.PROTECTED_HOSTS = ("shop-1", "beta")
    protect("shop-2")
    assert admission.find_touched_and_protected([on_host(where={"role": "shop"})])[1] == [
        "host/shop-1",
        "host/shop-2",
    ]
    assert admission.find_touched_and_protected([COMMAND])[1] == ["host/beta", "host/shop-1"]
    settings.PROTECTED_HOSTS = ("*",)
    assert "host/till" in admission.find_touched_and_protected([on_host(name="till")])[1]


def queued(step: Step) -> Run:
    targets = admission.collect_targets([step])
    return Run(services=admission.find_touched([step]), targets=targets.as_json())


def test_claim_keeps_registered_hosts_and_names_the_workers() -> None:
    assert admission.find_touched_now(queued(on_host(name="shop-2"))) == ["host/shop-2"]
    assert admission.find_touched_now(queued(COMMAND)) == ["host/alpha", "host/here", "host/loop"]
    assert admission.find_touched_now(queued(on_host(name="here"))) == [
        "host/alpha",
        "host/here",
        "host/loop",
    ]


def test_claim_sees_hosts_that_were_registered_since_the_run_was_queued() -> None:
    run = queued(on_host(where={"role": "shop"}))
    Host.objects.create(name="shop-3", address="chaos@10.0.0.10", labels={"role": "shop", "more": "1"})
    Host.objects.filter(name="shop-2").delete()
    assert admission.find_touched_now(run) == ["host/shop-1", "host/shop-3", "host/till"]


def test_next_attempt_is_not_bound_to_the_host_of_the_last_one() -> None:
    run = queued(COMMAND)
    run.services = ["host/beta"]  # as the last attempt held it
    assert admission.find_touched_now(run) == ["host/alpha", "host/here", "host/loop"]


@pytest.mark.parametrize("targets", [None, {"services": [], "endpoints": []}])
def test_run_that_an_earlier_version_queued_is_still_bound_to_its_worker(targets: Any) -> None:
    assert admission.find_touched_now(Run(services=["host/*"], targets=targets)) == ["host/alpha"]
    assert admission.find_touched_now(Run(services=["exchange"], targets=targets)) == ["exchange"]


def test_runs_that_select_different_hosts_do_not_wait_for_each_other() -> None:
    first, other = (
        Run(services=admission.find_touched([step]), targets=admission.collect_targets([step]).as_json())
        for step in (on_host(name="shop-1"), on_host(name="shop-2"))
    )
    assert host_targets.list_claims(first).isdisjoint(host_targets.list_claims(other))
    assert host_targets.resolve_worker(first, "alpha") == ["host/shop-1", "host/till"]
    assert host_targets.resolve_worker(queued(COMMAND), "alpha") == ["host/alpha"]


def test_look_at_hosts_is_no_query_for_steps_that_touch_none(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert HostTargets.of([Step("http", {"service": "exchange"})]).as_json()["hosts"] == []
        assert not host_targets.find_touched(HostTargets())


def test_site_of_registered_services_reaches_its_registered_hosts(settings: Settings) -> None:
    settings.ONLY_REGISTERED_SERVICES = True
    gate = RunGate(Run())

    async def ask(ip: str, port: int) -> None:
        await gate.admit(Connection(ip, ((ip, port),)), Intent.READ)

    asyncio.run(ask("10.0.0.7", 2222))
    with pytest.raises(StepImpossible, match="none is registered at its address"):
        asyncio.run(ask("10.0.0.7", 80))


def test_protection_of_a_host_is_seen_before_a_run() -> None:
    protect("shop-1")
    assert approval_gate.find_protected(["host/shop-1", "host/shop-2"]) == ["host/shop-1"]
    assert "host 'shop-1' is protected" in admission.describe_missing_approval(["host/shop-1"])
