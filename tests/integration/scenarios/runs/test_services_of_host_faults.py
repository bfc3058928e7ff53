"""A fault of a host touches the services whose connections it breaks: they are held, and may be protected."""

from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.outcomes import Outcome, RunState, Verdict
from scenarios.domain.plan import Step
from scenarios.models import Host, Run, Service
from scenarios.runs import admission, leases, lifecycle
from scenarios.runs import commands as run_commands
from scenarios.runs.leases import Claim

pytestmark = pytest.mark.django_db(transaction=True)

HEAD = """
apiVersion: coordinator/v1
kind: Scenario
metadata: {name: touching}
spec:
  phases:
    - name: chaos
      actions:
"""
FAULT = HEAD + "        - {name: break it, fault: {host: {name: HOST, KIND}}}\n"
HTTP = (
    HEAD
    + """
        - name: slow it
          do: {http: {service: exchange, method: POST, path: /fault}}
          undo: {http: {service: exchange, method: DELETE, path: /fault}}
"""
)


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.HOST_NAME = "alpha"
    settings.ALLOWED_HOST_FAULTS = ("kill", "pause", "blackhole")
    Host.objects.create(name="here", address="", labels={"role": "worker"})
    Host.objects.create(name="shop-1", address="chaos@10.0.0.7:2222", labels={"role": "shop"})
    Host.objects.create(name="shop-2", address="chaos@10.0.0.8", labels={"role": "shop"})
    for name, url in (
        ("exchange", "http://localhost:9101"),
        ("till", "tcp://127.0.0.1:9102"),
        ("shop", "http://10.0.0.7:9101"),
        ("cache", "redis://10.0.0.9:6379"),
    ):
        Service.objects.create(name=name, base_url=url)
    Service.objects.create(
        name="feed",
        base_url="http://10.0.0.20:80",
        proxy="http://10.0.0.8:8474",
        proxy_listener="127.0.0.1:9201",
    )


def find_services(kind: str, target: dict[str, Any], **hosts: Any) -> list[str]:
    """The services and addresses that the fault touches, without its hosts."""
    step = Step("host", {**(hosts or {"name": "shop-1"}), kind: target})
    return [name for name in admission.find_touched([step]) if not name.startswith("host/")]


@pytest.mark.parametrize(
    ("kind", "target", "touched"),
    [
        ("kill", {"port": 9101}, ["shop"]),
        ("kill", {"port": 9101.0}, ["shop"]),
        ("pause", {"port": 9101}, ["shop"]),
        ("pause", {"port": 9102}, ["10.0.0.7:9102"]),
        ("kill", {"pidfile": "/run/shop.pid"}, []),
        ("stop", {"unit": "shop"}, []),
        ("cpu", {"load": 0.5}, []),
        ("reset", {"from": "any", "port": 9101}, ["shop"]),
        ("blackhole", {"from": "10.0.0.1"}, ["shop"]),
        ("latency", {"to": "127.0.0.1", "port": 9101, "delay": "1s"}, ["shop"]),
        ("bandwidth", {"to": "10.0.0.9", "port": 6379, "rate": "1KiB/s"}, ["cache"]),
        ("loss", {"to": "10.0.0.9", "port": 6380, "share": "20%"}, ["10.0.0.9:6380"]),
        ("blackhole", {"to": "10.0.0.9"}, ["cache"]),
        ("blackhole", {"to": "::ffff:10.0.0.9", "port": 6379, "from": "any"}, ["10.0.0.7:6379", "cache"]),
        ("blackhole", {"to": "any", "port": 9101}, ["exchange", "shop"]),
    ],
)
def test_services_are_found_by_the_port_of_the_host_or_of_the_address(
    kind: str, target: dict[str, Any], touched: list[str]
) -> None:
    assert find_services(kind, target) == touched


def test_services_of_the_workers_host_are_found_however_it_is_spelt() -> None:
    assert find_services("kill", {"port": 9101}, name="here") == ["exchange"]
    assert find_services("kill", {"port": 9102}, name="here") == ["till"]
    assert find_services("blackhole", {"to": "0.0.0.0", "port": 9102}, name="here") == ["till"]  # noqa: S104
    assert find_services("blackhole", {"from": "10.0.0.1"}, name="here") == ["exchange", "till"]


def test_services_of_every_host_that_may_be_picked_are_touched() -> None:
    assert find_services("kill", {"port": 9101}, where={"role": "shop"}, pick=1) == ["10.0.0.8:9101", "shop"]
    assert find_services("kill", {"port": 9101}, name="unknown") == []


def test_service_is_found_by_the_listener_and_the_control_of_its_proxy() -> None:
    assert "feed" in find_services("kill", {"port": 9201}, name="shop-2")
    assert "feed" in find_services("kill", {"port": 8474}, name="shop-2")
    assert "feed" not in find_services("kill", {"port": 80}, name="shop-2")
    assert find_services("kill", {"port": 9201}, name="shop-1") == ["10.0.0.7:9201"]


def queued(document: str, host: str = "here", kind: str = "kill: {port: 9101}") -> Run:
    document = document.replace("HOST", host).replace("KIND", kind)
    return run_commands.start_run(document, {}, origin="cli")


def claim(run: Run) -> Claim | None:
    return leases.claim_run(run.id, run.attempt, worker="a:1")


@pytest.mark.parametrize("kind", ["kill: {port: 9101}", "blackhole: {to: 127.0.0.1, port: 9101}"])
def test_fault_of_a_protected_services_port_asks_for_an_approval(kind: str) -> None:
    Service.objects.filter(name="exchange").update(is_protected=True)
    run = queued(FAULT, kind=kind)
    assert run.state == RunState.AWAITING_APPROVAL
    assert "'exchange' is protected" in run.waiting_for
    assert queued(FAULT, kind=kind.replace("9101", "9102")).state == RunState.QUEUED
    assert queued(FAULT, host="shop-1", kind="kill: {port: 9101}").state == RunState.QUEUED


@pytest.mark.parametrize(("first", "second"), [(FAULT, HTTP), (HTTP, FAULT)])
def test_runs_that_touch_a_service_by_its_address_and_its_port_wait_for_each_other(
    first: str, second: str
) -> None:
    held, waiting, other = queued(first), queued(second), queued(FAULT, "shop-1", "kill: {port: 9103}")
    claimed = claim(held)
    assert claimed is not None
    assert claim(waiting) is None
    waiting.refresh_from_db()
    assert waiting.waiting_for == f"service 'exchange' is held by {held}"
    assert claim(other) is not None
    lifecycle.finish_run(claimed, Verdict(Outcome.PASSED, ""), timezone.now())
    assert claim(waiting) is not None


def test_claim_finds_what_was_registered_or_moved_since_the_run_was_queued() -> None:
    run = queued(FAULT, "shop-1")
    assert run.services == ["host/shop-1", "shop"]
    Host.objects.filter(name="shop-1").update(address="chaos@10.0.0.30")
    Service.objects.create(name="moved-to", base_url="http://10.0.0.30:9101", is_protected=True)
    assert "moved-to" in admission.find_touched_now(run)
    assert claim(run) is None
    run.refresh_from_db()
    assert "'moved-to' is protected" in run.waiting_for
