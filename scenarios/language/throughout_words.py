"""The words under `throughout` of a validation."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from scenarios.domain.declarations import Declaration, Share


class Throughout(Declaration):
    """The probe is repeated until the phase ends, also after failures. The validation holds if at least the
    share `success` of its looks does, such as `99%` or `0.99`. It fails before the end of the phase if the
    share can no longer be reached, as soon as nothing but `hold` keeps the phase from ending.
    """

    success: Share


def _use_any_of(schema: dict[str, Any]) -> None:
    # The members exclude each other by type; the JSON Schema of the language knows `anyOf`.
    schema["anyOf"] = schema.pop("oneOf")


def _choose_member(value: Any) -> str:
    return "mapping" if isinstance(value, Mapping | Throughout) else "flag"


ThroughoutOrFlag = Annotated[
    Annotated[Throughout, Tag("mapping")] | Annotated[bool, Tag("flag")],
    Field(discriminator=Discriminator(_choose_member), json_schema_extra=_use_any_of),
]
