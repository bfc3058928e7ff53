"""What a request's body may hold."""

from pydantic import BaseModel, ConfigDict


class Body(BaseModel):
    """Nothing but what is declared, and nothing made to fit: 0 is not false.

    Not the framework's own base: that takes any JSON value for an object without fields.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
