"""The words of an action."""

from collections.abc import Iterator, Mapping
from typing import Any, Generic, Literal

from pydantic import Field

from scenarios.domain.declarations import ABSENT, BrokenRule, Declaration, Duration, Name, PositiveDuration
from scenarios.language.check_words import Undone, find_impossible_expectations
from scenarios.language.each_words import NO_EACH, Each, find_each_problems
from scenarios.language.expectation_words import Expect
from scenarios.language.retry_words import Retry
from scenarios.language.save_words import NO_SAVE, Save, find_save_problems
from scenarios.language.step_words import AnyFault, AnyStep
from scenarios.language.timing import ACTION_SECONDS, find_cut_short_steps


class Action(Declaration, Generic[AnyStep, AnyFault]):
    """Actions run one after another. An action with `at` runs in parallel to the others, at that offset from
    the start of the phase. An action has either `do` or `fault`.

    `fault` names a fault driver, which knows the undo: the fault counts as undone when the driver sees that
    it is gone. If its target loses the fault before its end, the run is errored.

    An action with an `undo` is a fault, too. A fault is undone when its phase ends, or with `until: run` when
    the run ends. If the response does not meet `expect`, the action has failed, like a validation. If
    `expect` names `status` (`http`), `exit_code` (`command`) or `connected` (`tcp`), only `expect` decides
    whether the action was done, unless the step has `ok`. An action that was not done, or got no response, is
    errored. Without a `timeout`, a longer time limit of the step itself applies. `save` names values of the
    response for later steps; a response without one of them does not meet the expectation.

    A fault whose injection got no response may still arrive after its undo. It stays in the ledger, and its
    services are held, for LATE_INJECTION_SECONDS (30s) or its own `timeout`, whichever is longer; then it is
    undone again. The run does not wait for that. So an `undo` must also succeed if nothing is left to undo,
    like `rm -f`: if the last one fails, the fault is outstanding.
    """

    name: Name
    do: AnyStep = Field(ABSENT)
    fault: AnyFault = Field(ABSENT)
    undo: AnyStep = Field(ABSENT)
    undone: Undone[AnyStep] = Field(ABSENT)
    expect: Expect = Field(ABSENT)
    at: Duration = Field(ABSENT)
    until: Literal["phase", "run"] = "phase"
    timeout: PositiveDuration = ACTION_SECONDS
    retry: Retry = Field(ABSENT)
    save: Save = NO_SAVE
    each: Each = NO_EACH
    when: bool = True

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str] | BrokenRule]:
        yield from find_impossible_expectations(
            cls.model_fields["do"].annotation, values.get("do"), values.get("expect")
        )
        yield from find_each_problems(values)
        step: Any = cls.model_fields["do"].annotation
        yield from find_save_problems(values.get("save"), step.drivers(), values.get("do"))
        yield from find_cut_short_steps(values, (("do",), ("undo",), ("undone", "probe")), "action")
        if "fault" in values:
            for word in FAULTLESS_WORDS.intersection(values):
                yield word, f"'fault' and {word!r} cannot be combined: {FAULTLESS_REASON[word]}"
        elif "do" not in values:
            yield "", "the action has no 'do' and no 'fault'; say what to do, or which fault to inject"
        elif "undone" in values and "undo" not in values:
            yield "undone", "'undone' requires 'undo': say how to undo the fault"


FAULTLESS_REASON = {
    "do": "an action does one thing",
    "undo": "a fault driver knows how to remove its fault",
    "undone": "a fault driver sees for itself whether its fault is gone",
    "expect": "write a validation for what must hold",
    "save": "choose an id before, such as '${fault.id}', or save values from a validation",
}


FAULTLESS_WORDS = frozenset(FAULTLESS_REASON)
