"""The values that every scenario may use without declaring them: `${run.id}`, `${now}` and so on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid5

from scenarios.domain.plan import Plan
from scenarios.domain.templates import FAULT_ID, find_variables, substitute
from scenarios.language.each import Extras, name_entry

_NO_RUN = UUID(int=0)
Phases = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is known of a run before its first step. The defaults stand for a run that is only planned.

    `begun_at` is aware; None stands for the present moment. `scenario` is the one that includes the document,
    and `place` says where; both are "" for the run's own document.
    """

    id: UUID = _NO_RUN
    attempt: int = 1
    begun_at: datetime | None = None
    scenario: str = ""
    place: str = ""

    def build_values(self, scenario: str) -> dict[str, Any]:
        """The value of each built-in name, except for `fault.id`."""
        moment = (self.begun_at or datetime.now(UTC)).astimezone(UTC)
        return {
            "run.id": str(self.id),
            "run.short_id": str(self.id)[:8],
            "scenario.name": self.scenario or scenario,
            "now": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def build_fault_id(self, phase: int, action: int) -> str:
        """The id of this action's fault: the same however often the plan of an attempt is built."""
        if self.id == _NO_RUN:
            return self.id.hex
        return uuid5(self.id, f"{self.attempt}/{self.place}{phase}/{action}").hex


ONLY_PLANNED = RunFacts()


def fill_in_phases(
    phases: Phases, values: Mapping[str, Any], run: RunFacts, extras: Extras
) -> list[dict[str, Any]]:
    """The phases of a valid document with these values; each action has a `fault.id` of its own."""
    return [_fill_in_phase(phase, index, values, run, extras) for index, phase in enumerate(phases)]


def _fill_in_phase(
    phase: Mapping[str, Any], index: int, values: Mapping[str, Any], run: RunFacts, extras: Extras
) -> dict[str, Any]:
    def fill_in_entry(kind: str, number: int, entry: Mapping[str, Any]) -> dict[str, Any]:
        extra = extras.get(("phases", index, kind, number), {})
        fault = {FAULT_ID: run.build_fault_id(index, number)} if kind == "actions" else {}
        return name_entry(substitute(entry, {**values, **fault, **extra}), extra)

    return {
        word: [fill_in_entry(word, number, entry) for number, entry in enumerate(part)]
        if word in {"actions", "validations"}
        else substitute(part, values)
        for word, part in phase.items()
    }


def name_faults(built: Plan, phases: Phases, run: RunFacts) -> Plan:
    """The plan, in which the faults whose steps use `fault.id` have that id."""
    used = {
        (index, number)
        for index, phase in enumerate(phases)
        for number, action in enumerate(phase.get("actions", ()))
        if FAULT_ID in find_variables(action)
    }
    if not used:
        return built
    named = [
        replace(
            phase,
            actions=tuple(
                replace(action, fault_id=run.build_fault_id(index, number))
                if (index, number) in used
                else action
                for number, action in enumerate(phase.actions)
            ),
        )
        for index, phase in enumerate(built.phases)
    ]
    return replace(built, phases=tuple(named))
