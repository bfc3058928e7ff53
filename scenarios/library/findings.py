"""What a check of a service or host has found."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`subject` is what was looked at, in a word or two; `sentence` says how it is."""

    subject: str
    is_well: bool
    sentence: str
