"""What a run of a plan would meet now, on this machine."""

from collections.abc import Sequence
from dataclasses import dataclass

from scenarios.domain.plan import Plan
from scenarios.library import warnings


@dataclass(frozen=True, slots=True)
class Preflight:
    """`refusals` would end a run before it injects anything; nothing listens at the `unreachable` targets.

    `targets`: where the faults of fault drivers would be.
    """

    refusals: Sequence[str]
    unreachable: Sequence[str]
    warnings: Sequence[str]
    targets: Sequence[str]


def check_preflight(plan: Plan, environment: str = "") -> Preflight:
    refused = warnings.find_refusals(plan, environment)
    found = warnings.find_plan_warnings(plan)  # the refusals contain unknown services
    targets = warnings.look_for_targets(plan, environment)
    return Preflight(
        refused,
        [sentence for sentence in targets.unreachable if sentence not in refused],
        [*found, *warnings.find_start_delays(plan, environment)],
        targets.chosen,
    )
