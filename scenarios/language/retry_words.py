"""The words under `retry` of an action."""

from typing import Annotated

from pydantic import Field

from scenarios.domain.declarations import WHOLE, Declaration, PositiveDuration


class Retry(Declaration):
    """The action is tried up to `times` more times, while its target refuses the connection or responds that
    it did not do it; never if it may have been done, or if `expect` does not hold.

    The pause is `every`, or longer if a response with the status 503 or 429 has a `Retry-After`, but at most
    the action's `timeout`, which limits each try.
    """

    times: Annotated[int, Field(ge=1, le=100), WHOLE]
    every: PositiveDuration = 1.0
