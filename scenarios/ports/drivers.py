"""What the engine asks of the drivers of steps and of faults."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, runtime_checkable

from pydantic import BaseModel

from scenarios.domain.plan import FaultCall
from scenarios.ports.platform import Platform


class Driver(Protocol):
    """One kind of step. `Arguments` declares what validation, JSON Schema and documentation need.

    A driver whose steps take effect on the host of the process that runs them says so by the class
    attribute `is_host_bound = True`: only a process of the same host then undoes its faults.

    A driver may have three more methods, which take what `probe` takes and carry nothing out. `check` (not a
    coroutine) raises StepImpossible if the step makes no sense as the site is now; without it, a `service`
    among the arguments must be registered. The coroutine `permit` raises StepImpossible if people have
    switched off what the step needs; it is asked of an undo before its fault is injected, and never later.
    The coroutine `reach` raises StepFailed if nothing listens at the step's target; it is only for drivers
    whose actions start no other step's target.
    """

    name: ClassVar[str]
    Arguments: ClassVar[type[BaseModel]]

    async def probe(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        """Look, and return the fields that `expect` names. Must give way to cancellation at any await.

        Raises:
            StepFailed: the target did not answer, or not in a way that can be read.
            StepImpossible: the step makes no sense.
        """

    async def act(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        """Carry the step out, and return fields as `probe` does.

        A driver may also have a coroutine `undo`, which is called for undos, and returns `gone: True` if the
        target answered that there is nothing to undo; a class attribute `decided_by`, the field that decides
        here whether the step was done: if an action's `expect` names that field, `probe` is called instead,
        and the expectation decides; a method `is_of_target(fields)`, False if something other than the target
        answered `probe`, such as a gateway that gave up; and `arrives_late = False` if no part of a step that
        was cut off can be done later.

        Raises:
            StepFailed: the target did not answer. It may have done it, or may do it later.
            StepNotDone: the target answered that it did not do it.
            StepNotSent: nothing can have reached the target.
        """


@runtime_checkable
class FaultDriver(Protocol):
    """A driver whose faults know their own undo. `FaultArguments` declares the words of `fault: {NAME: …}`.

    A driver may be both a `Driver` and a `FaultDriver`. Each method must give way to cancellation at any
    await. Errors of `inject` and `remove` are those of `Driver.act`. If the process that injected a fault is
    dead, another one removes it, with the same arguments and the same call.

    It may have a method `check(arguments, platform)`, as a `Driver` has, under the name `check_fault`.
    """

    name: ClassVar[str]
    FaultArguments: ClassVar[type[BaseModel]]

    def is_leased(self, arguments: Mapping[str, Any]) -> bool:
        """Whether this fault, with its arguments as JSON values, ends by itself a lease after its renewal."""

    async def choose_target(self, arguments: Any, platform: Platform) -> Mapping[str, Any]:
        """Decide where to inject, before the fault is written to the ledger; changes nothing anywhere.

        Returns JSON values: all that `remove` needs to find the place again, whatever is registered by then.
        With `host`, only processes of that host undo the fault; `label` is shown to people.

        Raises:
            StepImpossible: the fault has no target, or not one that the site allows.
            StepFailed: the target cannot be reached.
        """

    async def inject(self, arguments: Any, platform: Platform, fault: FaultCall) -> Mapping[str, Any]:
        """Inject the fault; idempotent by its id. Returns what was done, for the journal.

        A request that arrives after `remove` of the same id is refused, or ends with its lease.
        """

    async def renew(self, arguments: Any, platform: Platform, fault: FaultCall) -> None:
        """Keep a leased fault for another lease from now.

        Raises:
            FaultGone: the target does not have the fault any more.
            StepFailed: the target did not answer.
        """

    async def remove(self, arguments: Any, platform: Platform, fault: FaultCall) -> bool:
        """Remove the fault; idempotent, and an unknown id is success. Returns False if it was not there."""

    async def is_present(self, arguments: Any, platform: Platform, fault: FaultCall) -> bool:
        """Whether the target has the fault. Asked after `remove`: only what is not present is undone."""


def acts_when_probed(driver: object, arguments: Mapping[str, Any]) -> bool:
    """Whether a probe with these arguments, as the plan has them, changes something at its target."""
    decides = getattr(driver, "acts_when_probed", None)
    return decides is not None and bool(decides(arguments))
