"""Containers are held like services, and need an approval where the settings or their service say so."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepImpossible
from scenarios.domain.outcomes import RunState
from scenarios.domain.plan import FaultOperation, Step
from scenarios.models import GlobalStop, Hold, Run, Service
from scenarios.ports import Connection, Intent
from scenarios.runs import admission, line
from scenarios.runs.gate import RunGate
from scenarios.runs.registry import Targets

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.CONTAINER_ENGINES = {"local": "unix:///run/nothing"}
    for name, url in (("shop", "http://10.0.0.7:9101"), ("cache", "redis://10.0.0.9:6379")):
        Service.objects.create(name=name, base_url=url)


def on_container(**words: Any) -> Step:
    return Step("container", {"pause": True, **words}, operation=FaultOperation.INJECT)


@pytest.mark.parametrize(
    ("step", "touched"),
    [
        (on_container(name="shop-1"), ["container/local/shop-1"]),
        (on_container(engine="far", name="shop-1"), ["container/far/shop-1"]),
        (on_container(where={"role": "shop"}), ["container/local/*"]),
        (on_container(image="shop", pick=1), ["container/local/*"]),
        (on_container(name="shop-1", service="shop"), ["container/local/shop-1", "shop"]),
        (Step("container", {"name": "shop-1"}), []),
    ],
)
def test_run_touches_the_containers_that_its_faults_name(step: Step, touched: list[str]) -> None:
    assert admission.find_touched([step]) == touched


def test_a_fault_inside_a_container_touches_the_service_it_cuts_off() -> None:
    step = Step(
        "container",
        {"name": "shop-1", "blackhole": {"to": "10.0.0.9", "port": 6379}},
        operation=FaultOperation.INJECT,
    )
    assert admission.find_touched([step]) == ["cache", "container/local/shop-1"]


def test_long_names_are_held_by_their_beginning() -> None:
    first, second = (admission.find_touched([on_container(name="a" * 200 + end)]) for end in "bc")
    assert first != second
    assert len(first[0]) == 68


def test_protected_containers_need_an_approval(settings: Settings) -> None:
    settings.PROTECTED_CONTAINERS = ("*-db",)

    def asked(**words: Any) -> list[str]:
        return admission.find_touched_and_protected([on_container(**words)])[1]

    assert asked(name="shop-db") == ["container/local/shop-db"]
    assert asked(name="shop-1") == []
    assert asked(where={"role": "shop"}) == ["container/local/*"]  # it may choose that one
    assert asked(name="d" * 200) == admission.find_touched([on_container(name="d" * 200)])
    assert admission.describe_missing_approval(asked(name="shop-db")) == (
        "it needs the approval of a second person: container 'shop-db' of engine 'local' is protected"
    )


def queue(*steps: Step, name: str = "waiting") -> Run:
    targets = admission.collect_targets(steps)
    return Run.objects.create(
        scenario_name=name,
        document="",
        state=RunState.QUEUED,
        queued_at=timezone.now(),
        services=admission.find_touched(steps),
        targets=targets.as_json(),
    )


def begin(run: Run) -> None:
    now = timezone.now()
    later = now + timedelta(minutes=5)
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING, claimed_at=now, lease_until=later)


def test_targets_are_read_back_as_they_were_written() -> None:
    step = Step(
        "container", {"name": "a", "reset": {"to": "any", "port": 80}}, operation=FaultOperation.INJECT
    )
    targets = admission.collect_targets([step])
    assert targets.containers.names
    assert targets.containers.reached
    assert Targets.from_json(targets.as_json()).containers == targets.containers
    assert admission.find_touched_now(queue(step)) == ["container/local/a"]


ONE, EVERY = "container 'shop-1' of engine 'local'", "every container of engine 'local'"
CHOSEN = {"where": {"a": "b"}}


@pytest.mark.parametrize(
    ("earlier", "later", "earlier_holds", "later_waits_for"),
    [
        ({"name": "shop-1"}, {"name": "shop-1"}, ONE, ONE),
        ({"name": "shop-1"}, CHOSEN, ONE, EVERY),
        (CHOSEN, {"name": "shop-1"}, EVERY, ONE),
        ({"image": "shop"}, CHOSEN, EVERY, EVERY),
        ({"name": "shop-1"}, {"name": "shop-2"}, "", ""),
        (CHOSEN, {"engine": "far", "name": "shop-1"}, "", ""),
        ({"engine": "far", **CHOSEN}, CHOSEN, "", ""),
    ],
)
def test_runs_of_the_same_containers_wait_for_each_other(
    earlier: dict[str, Any], later: dict[str, Any], earlier_holds: str, later_waits_for: str
) -> None:
    first, second = queue(on_container(**earlier), name="first"), queue(on_container(**later), name="second")
    stop = GlobalStop(pk=GlobalStop.ONLY)

    def read_obstacles() -> tuple[str, str]:
        scanned = {run.pk: reason for run, reason in line.scan_line(stop, timezone.now())}
        return scanned[second.pk], admission.find_obstacle(second, stop)

    waiting = read_obstacles()
    begin(first)
    admission.hold_services(first)
    held = read_obstacles()
    if not later_waits_for:
        assert (*waiting, *held) == ("", "", "", "")
        return
    assert all(sentence.startswith("first") for sentence in waiting)
    assert waiting[1].endswith(f" is waiting for {later_waits_for}")
    assert all(" is held by first" in sentence for sentence in held)
    assert {sentence.partition(" is held")[0] for sentence in held} <= {earlier_holds, later_waits_for}


def test_the_service_at_an_address_of_the_container_is_held_and_protected() -> None:
    run = queue(on_container(name="shop-1"))
    begin(run)
    gate = RunGate(Run.objects.get(pk=run.pk))
    every_port = Connection("10.0.0.7", (("10.0.0.7", 0),))
    assert "shop" in asyncio.run(gate.admit(every_port, Intent.ACT))
    assert Hold.objects.filter(service="shop", run=run).exists()
    Hold.objects.all().delete()
    Service.objects.filter(name="shop").update(is_protected=True)
    with pytest.raises(StepImpossible, match="leads to 'shop', which is protected"):
        asyncio.run(gate.admit(every_port, Intent.ACT))
