"""What all kinds of fault share."""

from __future__ import annotations

import os
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal
from injector.host.lifelines import Lifelines
from injector.host.policy import Policy
from injector.host.store import Store


class Call:
    """What a kind of fault may ask about the call it serves."""

    def __init__(self, store: Store, policy: Policy, request: Mapping[str, Any]) -> None:
        self.store = store
        self.policy = policy
        own = request.get("own", "")
        root = request.get("root", "")
        addresses = request.get("coordinator", [])
        if not isinstance(own, str) or not isinstance(root, str) or not isinstance(addresses, list):
            raise Refusal("'own' and 'root' must be text, and 'coordinator' a list of addresses")
        self.own = os.path.realpath(own) if own else ""
        # Where the files of those are whose network this is, such as /proc/4711/root of a container.
        self.root = root
        self.lifelines = Lifelines([str(address) for address in addresses])


class Kind:
    """One kind of fault.

    `check` finds its target and changes nothing; what it returns is kept. If `is_guarded`, the guardian calls
    `apply` and `undo`, and a call that finds the guardian dead also calls `undo`. Each may be called more
    than once. If `dies_with_guardian`, a guardian that systemd has restarted injects the fault again; if
    `outlives_guardian`, nothing ends the fault when the guardian is killed. If `is_checked_by_kernel`,
    `check` fails whenever `explain` has a reason.
    """

    is_guarded = False
    dies_with_guardian = False
    outlives_guardian = False
    is_leased = True
    is_checked_by_kernel = False
    lingers = False
    words: tuple[str, ...] = ()

    def explain(self, call: Call) -> str:
        """Why this kind cannot be injected here, for any target; '' if it can."""
        del call
        return ""

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        raise NotImplementedError

    def prepare_guardian(self) -> None:
        """Import what its guardian will need. Called when nobody waits."""

    def apply(self, record: Record, store: Store) -> Json:
        raise NotImplementedError

    def keep(self, record: Record, held: Json) -> None:
        """Called by the guardian several times a second while the fault lasts."""

    def linger(self, record: Record, store: Store) -> None:
        """Called by the guardian when the fault is over; returns when nothing needs this process any more."""

    def renew(self, record: Record, store: Store) -> None:
        """Raises Refusal: the fault is gone."""

    def undo(self, record: Record, store: Store, held: Json) -> None:
        raise NotImplementedError

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        raise NotImplementedError


def find_way(arguments: Mapping[str, Any], kind: str) -> str:
    ways = [way for way in ("unit", "pidfile", "port") if way in arguments]
    if len(ways) != 1:
        raise Refusal(f"{kind!r} needs exactly one of 'unit', 'pidfile' and 'port'")
    return ways[0]


class Once(Kind):
    """A fault without an undo, because nothing is left to end."""

    is_leased = False

    def undo(self, record: Record, store: Store, held: Json) -> None:
        pass

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        del record, store, held
        return False
