"""Faults of containers, held by a guardian beside their engine."""

from __future__ import annotations

import time
from typing import Any, Mapping

from injector.host.arguments import Json, Record, Refusal, get_text
from injector.host.changes import CHANGES, apply_change, find_changed, undo_change
from injector.host.container_requests import inspect
from injector.host.engine import Engine, open_unix
from injector.host.kind import Call, Kind
from injector.host.store import Store

MAX_CONTAINERS = 64
# How long a guardian goes on trying where the engine is away.
LEFT_SECONDS = 6 * 3600.0
RETRY_SECONDS = 1.0


class Containers(Kind):
    """A change of containers by the API of their engine. `places` are these containers; see changes.py."""

    is_guarded = True
    outlives_guardian = True
    lingers = True
    words = ("engine", "socket", "change", "places", "words")
    _is_guardian = False
    _is_left = False

    def check(self, arguments: Mapping[str, Any], call: Call) -> Json:
        socket = get_text(arguments, "socket")
        change = get_text(arguments, "change")
        places, words = arguments.get("places"), arguments.get("words", {})
        if change not in CHANGES:
            raise Refusal(f"unknown change {change!r}; choose one of {', '.join(CHANGES)}")
        if (
            not isinstance(places, list)
            or not 0 < len(places) <= MAX_CONTAINERS
            or not isinstance(words, dict)
        ):
            raise Refusal(f"a fault has 1 to {MAX_CONTAINERS} containers")
        target: Json = {"engine": get_text(arguments, "engine"), "socket": socket, "change": change}
        target.update(places=[dict(place) for place in places], words=words)
        held = {
            place["id"]
            for record in call.store.active("container")
            if record["target"]["change"] == change
            for place in record["target"]["places"]
        }
        engine = find_engine(target)
        for place in target["places"]:
            if place["id"] in held:
                raise Refusal(
                    f"container {place['name']!r} has a fault of this kind already; remove that one first"
                )
            state = inspect(engine, place["id"])
            if state is None:
                raise Refusal(f"container {place['name']!r} is gone", "not_done")
            CHANGES[change].check(dict(place), state, words)
        return target

    def apply(self, record: Record, store: Store) -> Json:
        self._is_guardian = True
        target = record["target"]
        apply_change(find_engine(target), target["change"], target["places"], target["words"])
        return {"mechanism": "engine API", "containers": [place["name"] for place in target["places"]]}

    def renew(self, record: Record, store: Store) -> None:
        target = record["target"]
        change = CHANGES[target["change"]]
        if not change.lasts:
            return
        changed = find_changed(find_engine(target), target["change"], target["places"], target["words"])
        lost = sorted({place["name"] for place in target["places"]} - set(changed))
        if lost:
            names = ", ".join(map(repr, lost))
            raise Refusal(f"somebody has ended the fault of container {names}, or replaced it", "gone")

    def undo(self, record: Record, store: Store, held: Json) -> None:
        target = record["target"]
        try:
            undo_change(find_engine(target), target["change"], target["places"], target["words"])
        except Refusal:
            if not self._is_guardian:
                raise
            self._is_left = True  # the guardian goes on trying, without the lock

    def linger(self, record: Record, store: Store) -> None:
        deadline = time.monotonic() + LEFT_SECONDS
        while self._is_left and time.monotonic() < deadline:
            time.sleep(RETRY_SECONDS)
            self._is_left = False
            self.undo(record, store, {})

    def is_present(self, record: Record, store: Store, held: Json) -> bool:
        target = record["target"]
        engine = find_engine(target)
        return bool(find_changed(engine, target["change"], target["places"], target["words"]))


def find_engine(target: Mapping[str, Any]) -> Engine:
    return Engine(target["engine"], open_unix(target["socket"]))
