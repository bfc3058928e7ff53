"""Loads of a run, in virtual time: a sender that says what its requests met with."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.domain.event_kinds import EventKind
from scenarios.domain.load_tally import Tally
from scenarios.domain.load_values import parse_threshold
from scenarios.domain.outcomes import Outcome, Verdict
from scenarios.domain.plan import Limit, Load, LoadValidation, Phase, Plan
from scenarios.engine.engine import Engine
from tests.fakes import FakeClock, InMemoryJournal, NoServices, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import fault, say

RATE = 50.0
QUICK, SLOW = 0.1, 0.9
Meets = Callable[[float], tuple[float, str]]


class LoadedDriver(ScriptedDriver):
    async def prepare_load(self, arguments: Any, platform: Any) -> Mapping[str, Any]:
        return {"say": arguments.say}


@dataclass
class FakeSender:
    """`meets` says what a request that is due then, in seconds, meets with: its latency, and its error."""

    meets: Meets
    lateness: float = 0.0
    breaks_at: float = float("inf")
    orders: list[Mapping[str, Any]] = field(default_factory=list)
    is_killed: bool = False
    begun: float | None = None

    async def start(self, order: Mapping[str, Any]) -> "FakeSender":
        self.orders.append(order)
        return self

    def enter_phase(self, phase: int) -> None:
        self.catch_up()
        self.phase = phase

    def catch_up(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.begun is None:
            self.begun, self.count = now, 0
            self.tallies: dict[tuple[int, int], Tally] = {}
        while (due := self.count / RATE) < now - self.begun - 1e-6:
            latency, error = self.meets(self.begun + due)
            tally = self.tallies.setdefault((int(due + 1e-9), self.phase), Tally())
            tally.sent += 1
            tally.answered += 1
            tally.lateness.add(self.lateness)
            if error:
                tally.errors[error] += 1
            else:
                tally.latency.add(latency)
            self.count += 1

    async def read(self) -> Mapping[str, Any] | None:
        if self.begun is None:
            return {}
        await asyncio.sleep(0.25)
        loop = asyncio.get_running_loop()
        if self.is_killed or loop.time() >= self.breaks_at:
            return None
        self.catch_up()
        found, self.tallies = self.tallies, {}
        return {
            "now": loop.time() - self.begun,
            "phase": self.phase,
            "is_over": False,
            "tallies": [[second, phase, tally.to_json()] for (second, phase), tally in found.items()],
        }

    def kill(self) -> None:
        self.is_killed = True


def limit(figure: str, **matchers: Any) -> Limit:
    ((matcher, text),) = matchers.items()
    return Limit(figure, matcher, parse_threshold(text, figure))


def judge(*limits: Limit, name: str = "users", **more: Any) -> LoadValidation:
    return LoadValidation(name, "shoppers", limits, **more)


def carry_out(sender: FakeSender, *phases: Phase, **answers: Any) -> tuple[Verdict, InMemoryJournal]:
    journal = InMemoryJournal()
    plan = Plan("test", phases, loads=(Load("shoppers", RATE, say("buy")),))
    engine = Engine(
        plan,
        drivers={"target": LoadedDriver(answers=answers)},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
        load_starter=sender,
    )
    verdict = run_in_virtual_time(engine.carry_out())
    assert sender.is_killed
    return verdict, journal


def find_detail(journal: InMemoryJournal, kind: EventKind, phase: str = "") -> Mapping[str, Any]:
    (found,) = [event.detail for event in journal.events if event.kind is kind and event.phase == phase]
    return found


def slow_between(begin: float, end: float) -> Meets:
    return lambda due: (SLOW if begin <= due < end else QUICK, "")


BEFORE = Phase("before", hold=10.0)


def broken(*validations: LoadValidation, hold: float = 10.0) -> Phase:
    return Phase("broken", hold=hold, actions=(fault("it"),), load_validations=validations)


def test_a_load_is_judged_by_the_requests_that_were_due_in_the_phase() -> None:
    good = judge(limit("p95", below="100ms"))
    verdict, journal = carry_out(FakeSender(slow_between(10, 20)), BEFORE, broken(good))
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason == "validation 'users' failed: 'p95' is 899ms, not below 100ms"
    assert journal.events[-1].kind is not EventKind.VALIDATION_PASSED
    figures = find_detail(journal, EventKind.LOAD_MEASURED, "before")
    assert (figures["requests"], figures["errors"], figures["rate"]) == (500, 0, RATE)
    assert abs(figures["p95"] - QUICK) < 0.001


def test_limits_that_hold_let_the_run_pass() -> None:
    limits = (
        limit("p95", at_most="120ms"),
        limit("error_rate", at_most="0.1%"),
        limit("rate", at_least="50/s"),
    )
    verdict, journal = carry_out(FakeSender(slow_between(0, 0)), BEFORE, broken(judge(*limits)))
    assert verdict.outcome is Outcome.PASSED
    assert find_detail(journal, EventKind.VALIDATION_PASSED, "broken")["seen"]["requests"] == 500
    ended = find_detail(journal, EventKind.LOAD_FINISHED)
    assert [point[1] for point in ended["curve"]] == [50] * 20
    assert abs(ended["baseline"]["p95"] - QUICK) < 0.001


def test_a_multiple_is_one_of_the_phases_before_the_first_action() -> None:
    held = judge(limit("p95", at_most="9.5x"))
    missed = judge(limit("p95", at_most="1.5x"))
    sender = slow_between(10, 20)
    assert carry_out(FakeSender(sender), BEFORE, broken(held))[0].outcome is Outcome.PASSED
    verdict, _ = carry_out(FakeSender(sender), BEFORE, broken(missed))
    assert (
        verdict.reason == "validation 'users' failed: 'p95' is 899ms, not at most 150ms (1.5x the baseline)"
    )


def test_a_baseline_of_zero_or_of_nothing_ends_the_run_before_anything_is_broken() -> None:
    of_zero, of_nothing = judge(limit("error_rate", at_most="2x")), judge(limit("p95", at_most="2x"))
    verdict, journal = carry_out(FakeSender(slow_between(0, 0)), BEFORE, broken(of_zero))
    assert verdict.outcome is Outcome.ERRORED
    assert verdict.reason == (
        "validation 'users' of phase 'broken': the baseline of 'error_rate' is 0%: there is no multiple of it"
    )
    assert not journal.faults
    verdict, journal = carry_out(FakeSender(lambda _due: (0.0, "refused")), BEFORE, broken(of_nothing))
    assert verdict.reason.endswith("the baseline of 'p95' is nothing: there is no multiple of it")
    assert not journal.faults


def test_errors_count_and_are_named() -> None:
    sender = FakeSender(lambda due: (0.0, "status 503") if due >= 15 else (QUICK, ""))
    verdict, _ = carry_out(sender, BEFORE, broken(judge(limit("error_rate", below="1%"))))
    assert verdict.reason == (
        "validation 'users' failed: 'error_rate' is 50% (250 of 500 requests: 250 × status 503), not below 1%"
    )


def test_percentiles_of_what_was_not_answered_fail() -> None:
    sender = FakeSender(lambda due: (0.0, "connection refused") if due >= 10 else (QUICK, ""))
    verdict, _ = carry_out(sender, BEFORE, broken(judge(limit("p95", below="1s"))))
    assert verdict.outcome is Outcome.FAILED
    assert (
        "'p95' cannot be told: 500 of 500 requests: 500 × connection refused had no answer" in verdict.reason
    )


def test_too_few_requests_for_a_percentile_are_an_error_with_their_number() -> None:
    verdict, _ = carry_out(FakeSender(slow_between(0, 0)), broken(judge(limit("p99", below="1s")), hold=1.0))
    assert verdict.outcome is Outcome.ERRORED
    assert verdict.reason == (
        "validation 'users' could not be evaluated: 'p99' needs at least 100 requests, and the phase had 50"
    )


def test_the_last_seconds_show_when_users_recover() -> None:
    """Slow until 3 s after the phase has begun: the first good window is that from then to 5 s later."""
    recovery = Phase(
        "recovery", load_validations=(judge(limit("p95", below="200ms"), within=30.0, hold_for=2.0),)
    )
    verdict, journal = carry_out(FakeSender(slow_between(10, 23)), BEFORE, broken(hold=10.0), recovery)
    assert verdict.outcome is Outcome.PASSED
    passed = find_detail(journal, EventKind.VALIDATION_PASSED, "recovery")
    assert 2.5 <= passed["time_to_pass"] <= 4.5
    kinds = [event.kind for event in journal.events if event.phase == "recovery" and event.subject == "users"]
    assert kinds == [
        EventKind.VALIDATION_STARTED,
        EventKind.VALIDATION_NOT_HOLDING,
        EventKind.VALIDATION_HOLDING,
        EventKind.VALIDATION_PASSED,
    ]


def test_users_who_do_not_recover_in_time_fail_the_run() -> None:
    recovery = Phase("recovery", load_validations=(judge(limit("p95", below="200ms"), within=8.0),))
    verdict, _ = carry_out(FakeSender(slow_between(10, 99)), BEFORE, broken(), recovery)
    assert verdict.outcome is Outcome.FAILED
    assert "not within 8s; seen last: 'p95' is 899ms, not below 200ms" in verdict.reason


def test_a_sender_that_is_late_makes_the_run_errored_never_failed() -> None:
    sender = FakeSender(slow_between(10, 20), lateness=0.08)
    verdict, _ = carry_out(sender, BEFORE, broken(judge(limit("p95", below="100ms"))))
    assert verdict.outcome is Outcome.ERRORED
    assert "the machine could not send 50/s: p99 of the lateness is 80ms, more than 50ms" in verdict.reason


def test_a_sender_that_ends_too_early_ends_the_run_with_its_faults_undone() -> None:
    verdict, journal = carry_out(FakeSender(slow_between(0, 0), breaks_at=12.0), BEFORE, broken())
    assert verdict.outcome is Outcome.ERRORED
    assert verdict.reason == "the process that sends load 'shoppers' has ended"
    assert not [fault for fault in journal.faults.values() if journal.states[fault.key] != "undone"]


def test_the_senders_are_killed_before_the_faults_are_undone() -> None:
    sender = FakeSender(slow_between(0, 0))
    seen: list[bool] = []

    class Watching(LoadedDriver):
        async def act(self, arguments: Any, platform: Any) -> Mapping[str, Any]:
            if arguments.say.startswith("mend"):
                seen.append(sender.is_killed)
            return await super().act(arguments, platform)

    journal = InMemoryJournal()
    engine = Engine(
        Plan("test", (broken(hold=100.0),), loads=(Load("shoppers", RATE, say("buy")),)),
        drivers={"target": Watching()},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
        load_starter=sender,
    )

    async def stop() -> Verdict:
        asyncio.get_running_loop().call_later(5.0, engine.end, Outcome.ABORTED, "stopped")
        return await engine.carry_out()

    assert run_in_virtual_time(stop()).outcome is Outcome.ABORTED
    assert seen == [True]
    # What was measured until then is kept.
    assert find_detail(journal, EventKind.LOAD_MEASURED, "broken")["requests"] > 200
    assert find_detail(journal, EventKind.LOAD_FINISHED)["curve"]


def test_a_driver_that_cannot_send_loads_ends_the_run_before_its_first_phase() -> None:
    journal = InMemoryJournal()
    engine = Engine(
        Plan("test", (BEFORE,), loads=(Load("shoppers", RATE, say("buy")),)),
        drivers={"target": ScriptedDriver()},
        platform=NoServices(),
        clock=FakeClock(),
        journal=journal,
        ledger=journal,
        load_starter=FakeSender(slow_between(0, 0)),
    )
    verdict = run_in_virtual_time(engine.carry_out())
    assert verdict.reason == "load 'shoppers' cannot be sent: a load cannot send 'target'"
    assert not [event for event in journal.events if event.kind is EventKind.PHASE_STARTED]


def test_a_load_goes_on_while_the_target_recovers_from_what_failed() -> None:
    recovery = Phase("recovery", load_validations=(judge(limit("p95", below="200ms"), within=30.0),))
    failing = broken(judge(limit("p95", below="200ms"), name="during"))
    verdict, journal = carry_out(FakeSender(slow_between(10, 22)), BEFORE, failing, recovery)
    assert verdict.outcome is Outcome.FAILED
    assert verdict.reason.startswith("validation 'during' failed")
    assert find_detail(journal, EventKind.VALIDATION_PASSED, "recovery")["seen"]["p95"] < 0.2
    phases = [event.phase for event in journal.events if event.kind is EventKind.LOAD_MEASURED]
    assert phases == ["before", "broken", "recovery"]


def test_comparison_with_a_failed_baseline_does_not_hold() -> None:
    """The first phase fails, so that nothing is broken: what later phases compare with is still known."""
    first = Phase(
        "before", hold=10.0, load_validations=(judge(limit("error_rate", below="1%"), name="well"),)
    )
    recovery = Phase("recovery", load_validations=(judge(limit("p95", below="2x"), within=6.0),))
    verdict, journal = carry_out(FakeSender(lambda _due: (0.0, "refused")), first, broken(), recovery)
    assert verdict.reason.startswith("validation 'well' failed")
    assert find_detail(journal, EventKind.VALIDATION_FAILED, "recovery")["reason"]
    assert not journal.faults
