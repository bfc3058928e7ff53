"""The base of all JSON request bodies."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """Accepts declared fields only, and converts no types: 0 is not false.

    This is not ninja's Schema, which accepts any JSON value for an object without fields.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
