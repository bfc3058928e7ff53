"""The words of `spec.regression`: what a run may measure compared with earlier ones."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, WithJsonSchema

from scenarios.domain.declarations import ABSENT, Declaration
from scenarios.domain.sizes import MULTIPLE_PATTERN, parse_multiple

Multiple = Annotated[
    float,
    BeforeValidator(parse_multiple),
    WithJsonSchema({"type": "string", "pattern": MULTIPLE_PATTERN, "examples": ["1.5x", "2x"]}),
]


class RegressionLimit(Declaration):
    """A multiple of the median, such as `2x`."""

    at_most: Multiple


class RegressionExpect(Declaration):
    """Figures of the whole run, and `p95` and `error_rate` of each load in each phase. An error rate below
    0.1% counts as 0.1%, and a p95 below 1ms as 1ms.
    """

    time_to_detect: RegressionLimit = Field(ABSENT)
    time_to_recover: RegressionLimit = Field(ABSENT)
    p95: RegressionLimit = Field(ABSENT)
    error_rate: RegressionLimit = Field(ABSENT)

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        if not values:
            known = ", ".join(cls.model_fields)
            yield "", f"'expect' is empty: name a figure, one of {known}"


class Regression(Declaration):
    """A run that would have passed fails if a figure is more than the allowed multiple of its median in the
    last 20 passed runs of the same document. With fewer than 5 such runs, nothing is compared.
    """

    expect: RegressionExpect
