"""The base class of all records."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Can be compared and hashed by its fields: mappings are left out of the hash, and `raw` of both."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
