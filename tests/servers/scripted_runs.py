"""A run and its events, as the API sends them."""

import json
from typing import Any

from tests.servers.scripted_api import Answer

RUN = "8f14e45f-ceea-467f-a9d6-0f1e2d3c4b5a"
STREAM = {"Content-Type": "text/event-stream"}
END = b"id: 4.end\nevent: end\ndata: {}\n\n"


def event(number: int, kind: str = "action_started", **data_fields: Any) -> bytes:
    row = {"sequence": number, "at": "2026-11-27T03:00:00.123Z", "kind": kind}
    data = json.dumps({**row, "phase": "chaos", "step": "é", "data": data_fields}, ensure_ascii=False)
    return f"id: {number}\ndata: {data}\n\n".encode()


def run_row(status: str = "passed", **fields: Any) -> dict[str, Any]:
    moment = "2026-11-27T03:00:00Z"
    row: dict[str, Any] = {
        "id": RUN,
        "scenario": "short",
        "status": status,
        "rollback": "clean",
        "reason": "",
    }
    row |= {"created_at": moment, "started_at": moment, "finished_at": moment, "created_by": None}
    row |= {"origin": "api", "variables": {}, "attempt": 1, "waiting_for": "", "stopping": False}
    return {**row, "last_event": 4, "url": "", **fields}


def fault_row(**fields: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"id": 7, "run": RUN, "scenario": "short", "phase": "chaos", "action": "break it"}
    row |= {"driver": "http", "service": "shop", "state": "outstanding", "status": "outstanding"}
    row |= {"reason": "", "undo_tries": 3, "outstanding": True, "opened_at": "2026-11-27T03:00:00Z"}
    return {**row, "acknowledged_by": "", **fields}


def stream(*parts: bytes) -> Answer:
    return Answer(b"retry: 10\n\n" + b"".join(parts), 200, STREAM)
