"""The units of a chart's values, shown on its axis."""

from enum import StrEnum


class Unit(StrEnum):
    NUMBER = "number"
    PER_SECOND = "per second"
    SECONDS = "seconds"
    SHARE = "share"
    BYTES = "bytes"
