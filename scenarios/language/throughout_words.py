"""The words under `throughout` of a validation."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from scenarios.domain.declarations import Declaration, Share, choose_member, use_any_of


class Throughout(Declaration):
    """The probe is repeated until the phase ends, even after failures. The validation holds if at least the
    share `success` of its looks does, such as `99%` or `0.99`. If the share can no longer be reached, it
    fails before the end of the phase, as soon as only `hold` keeps the phase from ending.
    """

    success: Share


ThroughoutOrFlag = Annotated[
    Annotated[Throughout, Tag("mapping")] | Annotated[bool, Tag("flag")],
    Field(discriminator=Discriminator(choose_member), json_schema_extra=use_any_of),
]
