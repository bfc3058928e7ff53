"""What would end a run later ends it before it breaks anything."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from scenarios.domain.errors import StepImpossible
from scenarios.domain.expectations import Expectations
from scenarios.domain.outcomes import Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Guard, Phase, Plan, Step, Validation
from scenarios.drivers import load_drivers
from scenarios.engine.clock import SystemClock
from scenarios.engine.engine import Engine
from scenarios.engine.preflight import (
    find_problems,
    find_unreachable,
    list_placed_steps,
    select_steps_to_reach,
)
from scenarios.engine.steps import StepRunner
from tests.fakes import FakeClock, InMemoryJournal, NoServices

BREAK = Step("command", {"run": ["true"]})
SLEEP = Step("wait", {"duration": "0s"})
LIVING = {"service": "living", "path": "/"}
DRIVERS = [
    f"scenarios.drivers.{name}"
    for name in (
        "command.Command",
        "http.Http",
        "prometheus.Prometheus",
        "signal.Signal",
        "tcp.Tcp",
        "wait.Wait",
        "chaostoolkit.ChaosToolkit",
    )
]


@pytest.fixture(autouse=True)
def site(settings: Settings) -> None:
    settings.ALLOWED_COMMANDS = ("true",)


@pytest.fixture
def port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


class Registered(NoServices):
    def __init__(self, **ports: int) -> None:
        self._ports = ports

    def address_of(self, service: str) -> str:
        if service not in self._ports:
            raise StepImpossible(
                f"unknown service {service!r}; registered services: {', '.join(self._ports)}"
            )
        return f"http://127.0.0.1:{self._ports[service]}"

    def secret(self, name: str) -> str:
        if name == "MISSING":
            raise StepImpossible("the secret 'MISSING' is missing")
        return "correct horse battery"


def runner(**ports: int) -> StepRunner:
    return StepRunner(load_drivers(DRIVERS), Registered(**ports), SystemClock())


def make_plan(*, probe: Step = SLEEP, do: Step = SLEEP, undo: Step = SLEEP, guard: Step = SLEEP) -> Plan:
    anything = Expectations({})
    phase = Phase(
        "chaos",
        actions=(Action("break it", do=do, undo=undo),),
        validations=(Validation("look", probe=probe, expect=anything),),
    )
    return Plan("test", (phase,), guards=(Guard("watch", probe=guard, expect=anything),))


NO_SERVICE = "unknown service 'gone'; registered services: living"
REFUSED: dict[str, tuple[dict[str, Step], str]] = {
    "a probe's service": (
        {"probe": Step("http", {"service": "gone"})},
        f"{NO_SERVICE} (validation 'look' of phase 'chaos')",
    ),
    "a guard's service": ({"guard": Step("tcp", {"service": "gone"})}, f"{NO_SERVICE} (guard 'watch')"),
    "an undo's service": (
        {"undo": Step("http", {"service": "gone", "method": "DELETE"})},
        f"{NO_SERVICE} (the undo of action 'break it' of phase 'chaos')",
    ),
    "one service in several places": (
        {name: Step("http", {"service": "gone"}) for name in ("guard", "do", "undo", "probe")},
        (
            f"{NO_SERVICE} (guard 'watch', action 'break it' of phase 'chaos', the undo of action 'break it' "
            "of phase 'chaos' and 1 more)"
        ),
    ),
    "an executable": (
        {"undo": Step("command", {"run": ["rm", "-r", "/"]})},
        "'rm' is not allowed on this site",
    ),
    "an executable that is not installed": (
        {"probe": Step("command", {"run": ["no-such-command"]})},
        "'no-such-command' is not installed",
    ),
    "a signal": ({"undo": Step("signal", {"pid": 77, "signal": "CONT"})}, "this site allows no signals"),
    "a module": (
        {"probe": Step("chaostoolkit", {"module": "os", "func": "getcwd"})},
        "'os' is not allowed on this site",
    ),
    "a Prometheus": ({"probe": Step("prometheus", {"query": "up"})}, "no Prometheus is configured"),
    "a driver": ({"probe": Step("smoke", {})}, "there is no driver 'smoke'"),
    "a secret": (
        {"probe": Step("http", {"service": "living", "headers": {"X": "${secret:MISSING}"}})},
        "the secret 'MISSING' is missing",
    ),
    "what a secret makes senseless": (
        {"probe": Step("http", {"service": "living", "method": "${secret:METHOD}"})},
        "the arguments of 'http' are refused",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_missing_services_and_secrets_are_found_before_any_step_runs(
    settings: Settings, port: int, name: str
) -> None:
    settings.PROMETHEUS_URL = ""
    settings.ALLOWED_COMMANDS = ("true", "no-such-command")
    given, expected = REFUSED[name]
    (sentence,) = find_problems(make_plan(**given), runner(living=port))
    assert expected in sentence
    assert "correct horse" not in sentence


def test_a_plan_that_lacks_nothing_has_no_problems(port: int) -> None:
    plan = make_plan(probe=Step("http", LIVING), do=BREAK, undo=Step("tcp", {"service": "living"}))
    assert find_problems(plan, runner(living=port)) == []


def carried_out(plan: Plan, **ports: int) -> tuple[InMemoryJournal, Verdict]:
    journal = InMemoryJournal()
    engine = Engine(
        plan,
        drivers=load_drivers(DRIVERS),
        platform=Registered(**ports),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
    )
    return journal, asyncio.run(engine.carry_out())


def test_a_run_whose_last_validation_names_an_unknown_service_injects_nothing(port: int) -> None:
    journal, verdict = carried_out(make_plan(probe=Step("http", {"service": "gone"}), do=BREAK), living=port)
    assert (verdict.outcome, verdict.rollback) == (Outcome.ERRORED, Rollback.CLEAN)
    assert "unknown service 'gone'" in verdict.reason
    assert journal.faults == {}
    assert journal.story() == []


def two_faults(second: Step, *, before: Step | None = None, probe: Step = SLEEP) -> Plan:
    first = Step("tcp", {"service": "living"})
    actions = [Action("break the first", do=first, undo=SLEEP)]
    actions += [Action("start it", do=before)] if before else []
    actions += [Action("break the second", do=second, undo=second)]
    look = Validation("look", probe=probe, expect=Expectations({}))
    return Plan("test", (Phase("baseline", validations=(look,)), Phase("chaos", actions=tuple(actions))))


def test_no_fault_is_injected_where_the_target_of_a_later_one_is_away(port: int, closed_port: int) -> None:
    plan = two_faults(Step("http", {"service": "away", "method": "POST"}))
    journal, verdict = carried_out(plan, living=port, away=closed_port)
    assert (verdict.outcome, journal.faults) == (Outcome.ERRORED, {})
    assert f"away at http://127.0.0.1:{closed_port} refused the connection" in verdict.reason
    assert "action 'break the second' of phase 'chaos'" in verdict.reason
    assert "phase_started baseline" in journal.story()  # looked at when the first fault is due, not before


def test_a_target_that_an_action_may_start_need_not_be_there_yet(port: int, closed_port: int) -> None:
    plan = two_faults(Step("http", {"service": "away", "method": "POST"}), before=BREAK)
    journal, _verdict = carried_out(plan, living=port, away=closed_port)
    assert journal.story().count("fault_injected break the first") == 1


def test_a_target_that_is_only_probed_may_be_away_its_validation_judges_that(closed_port: int) -> None:
    plan = make_plan(probe=Step("tcp", {"service": "away"}), do=BREAK)
    steps = runner(away=closed_port)
    assert find_problems(plan, steps) == []
    assert select_steps_to_reach(plan, steps) == []


async def test_each_address_is_asked_once_and_all_of_them_together(port: int, closed_port: int) -> None:
    asked: list[str] = []

    class Counting(Registered):
        def address_of(self, service: str) -> str:
            asked.append(service)
            return super().address_of(service)

    steps = StepRunner(load_drivers(DRIVERS), Counting(living=port, away=closed_port), SystemClock())
    every = {name: Step("http", {"service": "away", "path": f"/{name}"}) for name in ("do", "undo", "probe")}
    plan = make_plan(**every, guard=Step("http", LIVING))
    (sentence,) = await find_unreachable(list_placed_steps(plan), steps)
    assert sentence.count("away at") == 1
    assert sorted(asked) == ["away", "living"]


def test_a_site_driver_that_breaks_during_preflight_is_a_problem_and_not_a_crash() -> None:
    class Broken:
        Arguments = load_drivers(DRIVERS)["wait"].Arguments

        def check(self, _arguments: Any, _surroundings: Any) -> None:
            raise KeyError("x")

    drivers: dict[str, Any] = {"broken": Broken(), "wait": load_drivers(DRIVERS)["wait"]}
    steps = StepRunner(drivers, Registered(), SystemClock())
    (sentence,) = find_problems(make_plan(probe=Step("broken", {"duration": "0s"})), steps)
    assert "the driver 'broken' broke: KeyError" in sentence


def test_a_service_named_in_a_step_of_a_site_driver_must_be_registered() -> None:
    class Own:
        Arguments = load_drivers(DRIVERS)["http"].Arguments

    drivers: dict[str, Any] = {"own": Own(), "wait": load_drivers(DRIVERS)["wait"]}
    steps = StepRunner(drivers, Registered(living=1), SystemClock())
    (sentence,) = find_problems(make_plan(probe=Step("own", {"service": "gone"})), steps)
    assert sentence.startswith(NO_SERVICE)
