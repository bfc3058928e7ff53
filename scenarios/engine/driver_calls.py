"""One call of a driver: the one place where its exceptions become sentences."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import ValidationError

from scenarios.domain.durations import format_duration
from scenarios.domain.errors import (
    FaultGone,
    ScenarioError,
    StepFailed,
    StepImpossible,
    StepNotDone,
    StepNotSent,
)
from scenarios.domain.plan import Step
from scenarios.engine.fault_steps import FaultSteps
from scenarios.ports import Clock, Driver

SENSITIVE = "the step is sensitive: nothing of its answer is kept"


def read_arguments(driver: Driver | FaultSteps, step: Step, words: Any) -> Any:
    """The step's arguments, as the driver declares them.

    Raises:
        StepImpossible: the driver refuses them.
    """
    try:
        return driver.Arguments.model_validate(words)
    except ValidationError as error:
        # Not pydantic's own text: it shows values with their middle left out, secrets too.
        sentences = "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}"
            for detail in error.errors(include_url=False)
        )
        raise StepImpossible(f"the arguments of {step.driver!r} are refused: {sentences}") from None


async def call_driver(
    step: Step,
    call: Callable[[], Awaitable[Mapping[str, Any]]],
    clock: Clock,
    time_limit: float,
    *,
    is_action: bool,
) -> Mapping[str, Any]:
    """What the call returns.

    Raises:
        StepFailed: no answer within the time limit, in seconds; or an action of a driver that broke.
        StepImpossible: a driver that broke, and changes nothing.
        ScenarioError: what else the driver raises.
    """
    # An action's request may have left before the driver breaks: that is a failure, not "never sent",
    # so that it is undone.
    broken = StepFailed if is_action else StepImpossible
    try:
        async with clock.timeout(time_limit):
            return await call()
    except StepFailed as error:
        if not step.sensitive:
            raise
        # Without its own sentence, which may quote the answer.
        sentence = f"the driver {step.driver!r} could not do it; {SENSITIVE}"
        raise reword(error, sentence) from None
    except ScenarioError:
        raise
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # Nobody has cancelled the step: it is the driver's own, and would pass for the end of the run.
        raise broken(f"the driver {step.driver!r} broke: it cancelled itself") from error
    except TimeoutError as error:
        raise StepFailed(f"no answer within {format_duration(time_limit)}") from error
    except Exception as error:
        # A site's own driver: whatever breaks in it must end the run with its faults undone.
        sentence = f"the driver {step.driver!r} broke: {type(error).__name__}"
        if step.sensitive:
            raise broken(f"{sentence}; {SENSITIVE}") from None
        raise broken(f"{sentence}: {error}") from error


def reword(error: StepFailed, sentence: str) -> StepFailed:
    """The same kind of error, with this sentence."""
    kinds = (FaultGone, StepImpossible, StepNotSent, StepNotDone, StepFailed)
    kind = next(kind for kind in kinds if isinstance(error, kind))
    return kind(sentence, retry_after=error.retry_after)
