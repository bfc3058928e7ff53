"""What the values of a chart are, so that its axis can say it."""

from enum import StrEnum


class Unit(StrEnum):
    NUMBER = "number"
    PER_SECOND = "per second"
    SECONDS = "seconds"
    SHARE = "share"
    BYTES = "bytes"
