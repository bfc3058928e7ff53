"""Questions to hosts that were answered a moment ago, by the same event loop.

A run asks each host whether it would take a fault before the run begins, and once more before the fault. If
the fault comes first, that is within milliseconds, and each question costs the start of a process.
"""

import asyncio
import json
import time
from collections.abc import Iterable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from scenarios.ports import RegisteredHost

FRESH_SECONDS = 5.0

_Key = tuple[str, str]
_accepted: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Key, float]] = WeakKeyDictionary()


def note_accepted(hosts: Iterable[RegisteredHost], request: Mapping[str, Any]) -> None:
    now = time.monotonic()
    found = _find_accepted()
    for key in [key for key, at in found.items() if now - at > FRESH_SECONDS]:
        del found[key]
    found.update({_build_key(host, request): now for host in hosts})


def was_accepted(host: RegisteredHost, request: Mapping[str, Any]) -> bool:
    at = _find_accepted().get(_build_key(host, request))
    return at is not None and time.monotonic() - at <= FRESH_SECONDS


def forget_accepted(hosts: Iterable[RegisteredHost]) -> None:
    """These hosts change: the next question may have another answer."""
    addresses = {host.address for host in hosts}
    found = _find_accepted()
    for key in [key for key in found if key[0] in addresses]:
        del found[key]


def _find_accepted() -> dict[_Key, float]:
    return _accepted.setdefault(asyncio.get_running_loop(), {})


def _build_key(host: RegisteredHost, request: Mapping[str, Any]) -> _Key:
    return host.address, json.dumps(request, sort_keys=True)
