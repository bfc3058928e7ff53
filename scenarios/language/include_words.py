"""The word `include`, in the place of a phase."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from scenarios.domain.declarations import DNS_LABEL_PATTERN, Declaration


class Include(Declaration):
    """The stored scenario, and values of its variables; others keep their defaults."""

    scenario: Annotated[
        str,
        Field(pattern=DNS_LABEL_PATTERN),
        WithJsonSchema({"type": "string", "pattern": DNS_LABEL_PATTERN}),
    ]
    variables: dict[str, Any] = Field(default_factory=dict)


class IncludedPhases(Declaration, extra="ignore", json_schema_extra={"additionalProperties": False}):
    """Stands for the phases of another scenario, as it is stored when the run is started: `SCENARIO: PHASE`.
    Its guards, loads and timeout are not taken over. It may include scenarios itself, at most three deep.
    """

    include: Include

    @classmethod
    def relations(cls, values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
        for word in values.keys() - {"include"}:
            yield word, f"'include' and {word!r} cannot be combined: it stands for whole phases"
