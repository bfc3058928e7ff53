"""Faults of fault drivers: written before they are injected, renewed, verified, and missed when lost."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from scenarios.domain.errors import FaultGone, StepFailed, StepImpossible, StepNotDone
from scenarios.domain.event_kinds import EventKind
from scenarios.domain.outcomes import FaultState, Outcome, Rollback, Verdict
from scenarios.domain.plan import Action, Phase, Plan, Step, build_fault_action
from scenarios.engine import preflight
from scenarios.engine.engine import Engine
from scenarios.engine.preflight import Targets
from scenarios.engine.stages import NOTHING_CHECKED
from scenarios.engine.steps import StepRunner
from scenarios.ports import FaultCall, Platform
from tests.fakes import FakeClock, InMemoryJournal, NoServices, ScriptedDriver, run_in_virtual_time
from tests.unit.scenarios.engine.engine_runs import say

LEASE = 9.0


class Words(BaseModel):
    place: str = "here"
    leased: bool = True


@dataclass
class FaultyPlatform:
    """A fault driver whose target is a dictionary: the faults that it has, and until when."""

    name: ClassVar[str] = "faulty"
    FaultArguments: ClassVar[type[BaseModel]] = Words
    clock: FakeClock = field(default_factory=FakeClock)
    faults: dict[str, float] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    calls: list[FaultCall] = field(default_factory=list)
    before: Callable[[str], None] = lambda _verb: None

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        return bool(arguments.get("leased", True))

    async def choose_target(self, arguments: Words, platform: Platform) -> Mapping[str, Any]:
        self._note("choose")
        return {"place": arguments.place, "label": f"the place {arguments.place!r}"}

    async def inject(self, arguments: Words, platform: Platform, fault: FaultCall) -> Mapping[str, Any]:
        self._note("inject")
        self.calls.append(fault)
        self.faults[fault.id] = self.clock.monotonic() + fault.lease
        return {"place": fault.target["place"]}

    async def renew(self, arguments: Words, platform: Platform, fault: FaultCall) -> None:
        self._note("renew")
        if not self.has(fault.id):
            raise FaultGone("the target does not have it")
        self.faults[fault.id] = self.clock.monotonic() + fault.lease

    async def remove(self, arguments: Words, platform: Platform, fault: FaultCall) -> bool:
        self._note("remove")
        self.calls.append(fault)
        was_there = self.has(fault.id)
        self.faults.pop(fault.id, None)
        return was_there

    async def is_present(self, arguments: Words, platform: Platform, fault: FaultCall) -> bool:
        self._note("look")
        return self.has(fault.id)

    def has(self, fault_id: str) -> bool:
        return self.clock.monotonic() < self.faults.get(fault_id, 0.0)

    def _note(self, verb: str) -> None:
        self.asked.append(verb)
        self.before(verb)


def faulty(name: str = "slow", **words: Any) -> Action:
    return build_fault_action(Step("faulty", words), name=name)


def carry_out(
    phase: Phase, target: FaultyPlatform, *, more: tuple[Phase, ...] = ()
) -> tuple[Verdict, InMemoryJournal]:
    journal = InMemoryJournal()
    engine = Engine(
        Plan("test", (phase, *more)),
        drivers={"faulty": target, "target": ScriptedDriver()},  # type: ignore[dict-item]
        platform=NoServices(),
        clock=target.clock,
        journal=journal,
        ledger=journal,
        fault_lease_seconds=LEASE,
    )
    return run_in_virtual_time(engine.carry_out()), journal


def refuse(refused: str, error: Exception, *, times: int = 1) -> Callable[[str], None]:
    left = [times]

    def before(verb: str) -> None:
        if verb == refused and left[0]:
            left[0] -= 1
            raise error

    return before


def test_a_fault_is_in_the_ledger_before_it_is_injected_and_undone_when_it_is_seen_to_be_gone() -> None:
    target = FaultyPlatform()
    verdict, journal = carry_out(Phase("break", hold=1.0, actions=(faulty(),)), target)
    assert verdict == Verdict(Outcome.PASSED, NOTHING_CHECKED, Rollback.CLEAN)
    assert target.asked == ["choose", "choose", "inject", "remove", "look"]  # the first one is the preflight
    story = journal.story()
    assert story.index("fault_injecting slow") < story.index("fault_injected slow")
    assert story.index("fault_injected slow") < story.index("fault_undone slow")
    injected, removed = target.calls
    assert injected == removed
    assert injected.id
    assert injected.lease == LEASE
    assert journal.faults[1].undo.fault == injected
    assert target.faults == {}


def test_a_fault_is_renewed_three_times_a_lease_as_long_as_it_is_to_last() -> None:
    target = FaultyPlatform()
    verdict, journal = carry_out(Phase("break", hold=60.0, actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.PASSED
    assert target.asked.count("renew") in range(18, 21)
    assert [moment for _, moment in journal.renewed][:3] == [3.0, 6.0, 9.0]


def test_a_fault_that_lasts_until_the_end_of_the_run_is_renewed_in_later_phases() -> None:
    target = FaultyPlatform()
    action = build_fault_action(Step("faulty", {}), name="slow", until="run")
    verdict, _ = carry_out(Phase("break", actions=(action,)), target, more=(Phase("later", hold=30.0),))
    assert verdict.outcome is Outcome.PASSED
    assert target.asked.count("renew") in range(8, 11)


def test_a_fault_that_is_not_leased_is_not_renewed() -> None:
    target = FaultyPlatform()
    carry_out(Phase("break", hold=5.0, actions=(faulty(leased=False),)), target)
    assert "renew" not in target.asked


def test_a_fault_that_its_target_lost_ends_the_run_errored() -> None:
    target = FaultyPlatform()
    target.before = lambda verb: target.faults.clear() if verb == "renew" else None
    verdict, journal = carry_out(Phase("break", hold=60.0, actions=(faulty(),)), target)
    assert verdict == Verdict(
        Outcome.ERRORED, "the fault of action 'slow' was lost: the target does not have it", Rollback.CLEAN
    )
    assert journal.moment(EventKind.FAULT_LOST, "slow") == 3.0
    assert journal.states[1] is FaultState.UNDONE


def test_a_target_that_misses_one_renewal_keeps_the_fault() -> None:
    target = FaultyPlatform()
    target.before = refuse("renew", StepFailed("no answer"), times=2)
    verdict, journal = carry_out(Phase("break", hold=30.0, actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.PASSED
    assert EventKind.FAULT_LOST not in {event.kind for event in journal.events}


def test_a_fault_that_could_not_be_renewed_for_a_lease_is_lost() -> None:
    target = FaultyPlatform()
    target.before = refuse("renew", StepFailed("no answer"), times=100)
    verdict, journal = carry_out(Phase("break", hold=60.0, actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.ERRORED
    assert "it could not be renewed for 9s, and has ended by itself: no answer" in verdict.reason
    assert LEASE <= journal.moment(EventKind.FAULT_LOST) < LEASE + 1.0


def test_a_fault_that_is_still_seen_is_not_undone() -> None:
    target = FaultyPlatform()

    def put_back(verb: str) -> None:
        if verb == "look" and target.asked.count("look") < 100:
            target.faults[target.calls[0].id] = target.clock.monotonic() + 1.0

    target.before = put_back
    verdict, journal = carry_out(Phase("break", actions=(faulty(),)), target)
    assert verdict.rollback is Rollback.CLEAN
    assert journal.story().count("fault_undo_failed slow") >= 1
    reasons = [event.detail.get("reason", "") for event in journal.events]
    assert any("it is not undone" in reason for reason in reasons)


@pytest.mark.parametrize(
    "error", [StepImpossible("no host has the label 'role=shop'"), StepFailed("nothing listens")]
)
def test_a_target_that_cannot_be_had_ends_the_run_before_anything_is_written(error: Exception) -> None:
    target = FaultyPlatform()
    target.before = refuse("choose", error, times=9)
    verdict, journal = carry_out(Phase("break", actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.ERRORED
    assert str(error) in verdict.reason
    assert journal.faults == {}


def test_a_target_that_goes_away_after_the_preflight_leaves_no_fault() -> None:
    target = FaultyPlatform()
    target.before = lambda verb: (
        refuse("choose", StepFailed("gone"))(verb) if target.asked.count("choose") > 1 else None
    )
    verdict, journal = carry_out(Phase("break", actions=(faulty(),)), target)
    assert verdict == Verdict(Outcome.ERRORED, "action 'slow' of phase 'break' failed: gone", Rollback.CLEAN)
    assert journal.faults == {}


def test_an_injection_that_was_refused_is_removed_all_the_same() -> None:
    target = FaultyPlatform()
    target.before = refuse("inject", StepNotDone("the proxy has 1000 faults"))
    verdict, journal = carry_out(Phase("break", actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.ERRORED
    assert verdict.rollback is Rollback.CLEAN
    assert "renew" not in target.asked
    assert journal.states[1] is FaultState.UNDONE


def test_an_unknown_fault_driver_is_named_before_anything_is_broken() -> None:
    action = build_fault_action(Step("target", {"say": "break"}), name="slow")
    verdict, journal = carry_out(Phase("break", actions=(action,)), FaultyPlatform())
    assert verdict.outcome is Outcome.ERRORED
    assert "there is no fault driver 'target'" in verdict.reason
    assert journal.faults == {}


def test_faults_and_plain_steps_can_be_combined() -> None:
    target = FaultyPlatform()
    plain = Action("plain", do=say("break"), undo=say("mend"))
    verdict, journal = carry_out(Phase("break", hold=4.0, actions=(plain, faulty())), target)
    assert verdict.outcome is Outcome.PASSED
    assert {journal.states[1], journal.states[2]} == {FaultState.UNDONE}


def look_for_targets(target: FaultyPlatform, *actions: Action) -> Targets:
    drivers: Any = {"faulty": target}
    steps = StepRunner(drivers, NoServices(), target.clock)
    plan = Plan("test", (Phase("break", actions=actions),))
    return asyncio.run(preflight.look_for_targets(preflight.list_placed_steps(plan), steps))


def test_the_places_of_faults_are_known_before_a_run() -> None:
    found = look_for_targets(FaultyPlatform(), faulty("slow"), faulty("slower"), faulty("far", place="there"))
    assert found.unreachable == []
    assert found.chosen == [
        "the place 'here' (action 'slow' of phase 'break', action 'slower' of phase 'break')",
        "the place 'there' (action 'far' of phase 'break')",
    ]


def test_two_faults_of_one_service_may_have_a_target_and_none() -> None:
    target = FaultyPlatform()
    target.before = refuse("choose", StepImpossible("no table 'order'"))
    found = look_for_targets(target, faulty("slow", service="db"), faulty("far", service="db", place="there"))
    assert found.unreachable == ["no table 'order' (action 'slow' of phase 'break')"]
    assert found.chosen == ["the place 'there' (action 'far' of phase 'break')"]


def test_a_process_that_was_stopped_for_longer_than_the_lease_renews_nothing() -> None:
    """As after SIGSTOP and SIGCONT: another process may have removed the fault meanwhile."""
    target = FaultyPlatform()
    ahead = [0.0]
    monotonic = target.clock.monotonic
    target.clock.monotonic = lambda: monotonic() + ahead[0]  # type: ignore[method-assign]

    def stop(verb: str) -> None:
        if verb == "renew":
            ahead[0] = 2 * LEASE

    target.before = stop
    verdict, journal = carry_out(Phase("break", hold=60.0, actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.ERRORED
    assert target.asked.count("renew") == 1
    assert journal.moment(EventKind.FAULT_LOST) > 0


def test_a_renewal_under_way_ends_before_the_fault_is_removed() -> None:
    target, ended = FaultyPlatform(), []

    async def hang(arguments: Words, platform: Platform, fault: FaultCall) -> None:
        try:
            await asyncio.sleep(100)
        finally:
            ended.append(list(target.asked))

    target.renew = hang  # type: ignore[method-assign]
    verdict, _ = carry_out(Phase("break", hold=4.0, actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.PASSED
    assert "remove" not in ended[0]


def test_the_first_renewal_does_not_wait_for_a_third_of_the_lease_after_a_slow_injection() -> None:
    target = FaultyPlatform()
    inject = target.inject

    async def inject_slowly(arguments: Words, platform: Platform, fault: FaultCall) -> Mapping[str, Any]:
        done = await inject(arguments, platform, fault)
        await asyncio.sleep(0.8 * LEASE)
        return done

    target.inject = inject_slowly  # type: ignore[method-assign]
    verdict, _ = carry_out(Phase("break", hold=30.0, actions=(faulty(),)), target)
    assert verdict.outcome is Outcome.PASSED
