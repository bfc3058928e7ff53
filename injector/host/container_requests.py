"""Requests about one container to its engine.

A `ContainerPlace` is one container as the fault found it: `id`, `name`, and what the undo needs.
"""

from __future__ import annotations

from typing import Any, Mapping, Sequence

from injector.host.arguments import Json, Refusal
from injector.host.engine import ENGINE_SECONDS, Engine, EngineAnswer, quote_part

NOT_FOUND = 404

ContainerPlace = Mapping[str, Any]


def inspect(engine: Engine, container: str) -> Json | None:
    """How the container is now; None where the engine has none of this id or name.

    Raises:
        Refusal: the engine does not say.
    """
    answer = engine.ask("GET", f"/containers/{quote_part(container)}/json")
    if answer.status == NOT_FOUND:
        return None
    if answer.status != 200:  # noqa: PLR2004 - OK
        raise Refusal(engine.explain(answer), "failed")
    found = answer.content
    if not isinstance(found, dict) or not isinstance(found.get("State"), dict) or not found.get("Id"):
        raise Refusal(f"engine {engine.name!r} does not describe containers as an engine does", "failed")
    return found


def require_running(place: ContainerPlace, state: Json) -> None:
    now = state["State"]
    if now.get("Paused") or now.get("Status") == "paused":
        raise Refusal(f"container {place['name']!r} is paused already, by somebody else")
    if not now.get("Running") or now.get("Restarting"):
        raise Refusal(f"container {place['name']!r} is {now.get('Status') or 'not running'}, not running")


def send(
    engine: Engine,
    place: ContainerPlace,
    verb: str,
    body: Any = None,
    *,
    fine: Sequence[int] = (),
    seconds: float = ENGINE_SECONDS,
) -> None:
    """Ask the engine to change the container. `fine`: errors by which it says that there is nothing to do."""
    answer = engine.ask("POST", f"/containers/{quote_part(place['id'])}/{verb}", body, seconds=seconds)
    if answer.status not in fine:
        require_success(engine, place, answer)


def require_success(engine: Engine, place: ContainerPlace, answer: EngineAnswer) -> None:
    """Raises Refusal: the engine has not done it."""
    if answer.status >= 400:  # noqa: PLR2004 - an error
        code = "failed" if answer.status >= 500 else "not_done"  # noqa: PLR2004 - an error of the engine's own
        raise Refusal(f"container {place['name']!r}: {engine.explain(answer)}", code)
