"""What one look at a target saw, and whether that is what was expected.

Answers and expectations may be large: what takes more than a moment is looked at in a thread, so that the
event loop goes on with the other steps, the lease and the stop. RE2 releases the interpreter's lock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from scenarios.domain.errors import StepFailed, StepImpossible
from scenarios.domain.expectations import Expectations, QueryTooLargeError
from scenarios.domain.json_queries import MAX_NODES, Budget
from scenarios.domain.outputs import limit_fields
from scenarios.domain.plan import Step
from scenarios.domain.redaction import Redactor
from scenarios.domain.saved_values import select_saved
from scenarios.engine.driver_calls import SENSITIVE
from scenarios.engine.steps import StepRunner
from scenarios.engine.work_threads import is_large, run_in_thread

NOTHING_SAVED: Mapping[str, str] = MappingProxyType({})
_HIDDEN_MISS = "what was returned holds a secret, and is not what was expected"
# Nodes that queries visit in a millisecond or two.
_MAX_NODES_IN_LOOP = 2_000


@dataclass(frozen=True, slots=True)
class Observation:
    """What one attempt saw; `reason` says why it does not hold. `fields` is what may be kept of the answer.

    Not `answered`: the target gave no complete answer. `value` is the number that the expectation compares,
    and `elapsed` the seconds that the driver has measured. `saved` are values for later steps, with
    secrets if they have any.
    """

    holds: bool
    reason: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    answered: bool = True
    value: float | None = None
    elapsed: float | None = None
    saved: Mapping[str, Any] = field(default_factory=dict)


async def observe(
    steps: StepRunner,
    probe: Step,
    expect: Expectations,
    time_limit: float,
    save: Mapping[str, str] = NOTHING_SAVED,
) -> Observation:
    """Probe once. A target that does not answer is seen as not holding.

    Raises:
        StepImpossible: the probe cannot be evaluated at all.
    """
    try:
        fields = await steps.probe(probe, time_limit)
    except StepImpossible:
        raise
    except StepFailed as error:
        return Observation(holds=False, reason=str(error), answered=False)
    return await judge(fields, expect, steps.redactor, is_sensitive=probe.sensitive, save=save)


async def judge(
    fields: Mapping[str, Any],
    expect: Expectations,
    redactor: Redactor,
    *,
    is_sensitive: bool,
    save: Mapping[str, str] = NOTHING_SAVED,
) -> Observation:
    """Whether the fields, as a step returned them, are what is expected, and have the values to save.

    Raises:
        StepImpossible: finding out would take too long.
    """

    def look(nodes: int) -> Observation:
        budget = Budget(nodes)
        seen = _compare(fields, expect, redactor, budget)
        seen = _save(seen, save, fields, redactor, budget) if save else seen
        return _hide_answer(seen) if is_sensitive else seen

    try:
        if not is_large(fields):
            try:
                return look(_MAX_NODES_IN_LOOP)
            except QueryTooLargeError:
                pass  # for this thread, but perhaps not for another
        return await run_in_thread(lambda: look(MAX_NODES))
    except QueryTooLargeError:
        raise StepImpossible(
            f"to compare the answer, more than {MAX_NODES:,} of its values would have to be looked at: "
            "expect less of it, as by JSONPaths with fewer '..' and '*'"
        ) from None


def _compare(
    fields: Mapping[str, Any], expect: Expectations, redactor: Redactor, budget: Budget
) -> Observation:
    misses = expect.check(fields, budget)
    kept = redactor.redact(fields)
    if misses and kept != fields:
        # Sentences quote values and cut them, so they are built again from what may be shown.
        misses = expect.check(kept, budget) or (_HIDDEN_MISS,)
    if misses and (note := kept.get("note")):
        misses = (*misses, str(note))
    return Observation(
        holds=not misses,
        reason="; ".join(misses),
        fields=limit_fields(kept),
        value=_read_number(kept, expect),
        elapsed=_read_elapsed(kept),
    )


def _save(
    seen: Observation, save: Mapping[str, str], fields: Mapping[str, Any], redactor: Redactor, budget: Budget
) -> Observation:
    saved, missing = select_saved(save, fields, budget)
    reason = "; ".join(filter(None, (seen.reason, *missing)))
    kept = {**seen.fields, "saved": redactor.redact(saved)}
    return replace(
        seen, holds=seen.holds and not missing, reason=reason, fields=limit_fields(kept), saved=saved
    )


def _read_elapsed(kept: Mapping[str, Any]) -> float | None:
    elapsed = kept.get("elapsed")
    return float(elapsed) if isinstance(elapsed, int | float) else None


def _read_number(kept: Mapping[str, Any], expect: Expectations) -> float | None:
    try:
        return expect.read_number(kept, Budget(_MAX_NODES_IN_LOOP))
    except QueryTooLargeError:
        return None


def _hide_answer(seen: Observation) -> Observation:
    reason = "" if seen.holds else f"what is expected does not hold; {SENSITIVE}"
    return Observation(holds=seen.holds, reason=reason, saved=seen.saved)
