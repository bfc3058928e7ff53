"""One example of each thing that the API has: a run, a fault, a schedule …"""

from scenarios.api.example_documents import Example
from scenarios.domain.event_kinds import EventKind
from scenarios.library.compared_runs import FIELDS_OF_RUN

RUN_ID = "0b0e7c1a-5a0f-4a8e-9a54-3f1d2c4b5a69"
SITE = "https://coordinator.example.com/admin/scenarios"
STEP = {
    "phase": "chaos",
    "name": "slow the exchange down",
    "role": "do",
    "driver": "http",
    "arguments": "service: exchange\nmethod: POST\npath: /chaos/latency?ms=700\n",
    "note": "",
}
STORED: Example = {
    "name": "exchange-latency",
    "title": "A slow exchange",
    "description": "",
    "tags": [],
    "created_at": "2026-01-01T12:00:00Z",
    "changed_at": "2026-01-01T12:00:00Z",
    "changed_by": "ada",
}
SCENARIO: Example = {
    **STORED,
    "last_run": {
        "id": RUN_ID,
        "status": "passed",
        "rollback": "clean",
        "created_at": "2026-01-01T12:00:00Z",
        "started_at": "2026-01-01T12:00:00.200Z",
        "finished_at": "2026-01-01T12:00:09.100Z",
        "url": f"{SITE}/run/{RUN_ID}/change/",
    },
}
DELETION: Example = {
    "kind": "scenario",
    "name": "exchange-latency",
    "requested_at": "2026-01-01T12:00:00Z",
    "requested_by": "ada",
    "total": 50_000,
    "left": 12_000,
    "waiting_for": "",
}
SUITE: Example = {**STORED, "name": "shop", "title": "What the shop survives", "service": "shop"}
COUNTS: Example = {
    "survived": 9,
    "degraded": 5,
    "failed": 1,
    "never_tried": 0,
    "older": 0,
    "skipped": 13,
}
SUITE_IN_LIST: Example = {**SUITE, "state": "failed", "counts": COUNTS}
VERSION: Example = {
    "version": 3,
    "at": "2026-01-01T12:00:00Z",
    "by": "ada",
    "current": True,
    "change": "changed",
}
TOKEN: Example = {
    "id": 4,
    "name": "nightly build",
    "beginning": "tc_1f3a",
    "scopes": ["read", "run"],
    "state": "valid",
    "created_at": "2026-01-01T12:00:00Z",
    "expires_at": "2026-04-01T12:00:00Z",
    "last_used_at": None,
}
RUN: Example = {
    "id": RUN_ID,
    "scenario": "exchange-latency",
    "title": "A slow exchange",
    "status": "passed",
    "rollback": "clean",
    "reason": "every validation held",
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": "2026-01-01T12:00:00.200Z",
    "finished_at": "2026-01-01T12:00:09.100Z",
    "duration": 8.9,
    "created_by": "ada",
    "origin": "api",
    "variables": {"delay_ms": 700},
    "environment": "staging",
    "priority": 0,
    "attempt": 1,
    "waiting_for": "",
    "stopping": False,
    "last_event": 33,
    "url": f"{SITE}/run/{RUN_ID}/change/",
}
COMPARISON: Example = {
    "run": {name: RUN[name] for name in RUN if name in FIELDS_OF_RUN},
    "other": {name: RUN[name] for name in RUN if name in FIELDS_OF_RUN},
    "variables": {"delay_ms": {"value": 700, "other": 500}},
    "document": [],
    "figures": [
        {
            "figure": "time_to_detect",
            "phase": "",
            "validation": "",
            "load": "",
            "value": 1.2,
            "other": 0.9,
        }
    ],
}
SUITE_RUN: Example = {
    "id": "9f1c7c0e-0d0f-4a55-8a3b-2f1f5b7a6c10",
    "suite": "shop",
    "status": "failed",
    "reason": "9 survived, 5 degraded, 1 failed, 13 skipped",
    "created_at": "2026-01-01T12:00:00Z",
    "finished_at": "2026-01-01T12:04:10Z",
    "created_by": "ada",
    "origin": "api",
    "stopping": False,
}
TRIED_CELL: Example = {
    "dependency": "shop-db",
    "fault": "slow",
    "state": "degraded",
    "reason": "users noticed: status is 503, not 200",
    "run": RUN_ID,
    "waiting_for": "",
}
MATRIX: Example = {
    "suite": "shop",
    "title": "What the shop survives",
    "service": "shop",
    "state": "failed",
    "words": "failed: 1 of 15",
    "counts": COUNTS,
    "badge": "/badges/suites/shop/3f2504e04f8911d39a0c.svg",
    "cells": [
        {
            "dependency": "shop-db",
            "fault": "slow",
            "must": "fail",
            "state": "degraded",
            "proved": "degraded",
            "reason": "users noticed: status is 503, not 200",
            "obstacle": "",
            "run": RUN_ID,
            "proved_at": "2026-01-01T12:00:09Z",
        }
    ],
}
RUN_DETAILS: Example = {
    **RUN,
    "time_to_detect": 0.8,
    "time_to_recover": 1.1,
    "comparison": [],
    "load": [],
    "approval": None,
}
EVENT: Example = {
    "sequence": 7,
    "at": "2026-01-01T12:00:02.150Z",
    "kind": EventKind.FAULT_INJECTED.value,
    "phase": "chaos",
    "step": "slow the exchange down",
    "data": {},
}
LOOKS: Example = {
    "phase": "chaos",
    "name": "the exchange answers",
    "about": "exchange",
    "compared": "elapsed",
    "looks": [{"at": "2026-01-01T12:00:03Z", "holds": True, "elapsed": 0.71, "value": 0.7}],
}
FAULT: Example = {
    "id": 12,
    "run": RUN_ID,
    "scenario": "exchange-latency",
    "phase": "chaos",
    "action": "slow the exchange down",
    "driver": "http",
    "service": "exchange",
    "host": "",
    "address": "http://127.0.0.1:9101",
    "state": "outstanding",
    "status": "outstanding",
    "outstanding": True,
    "reason": "answered 503",
    "undo_tries": 3,
    "opened_at": "2026-01-01T12:00:02Z",
    "injected_at": "2026-01-01T12:00:02.150Z",
    "closed_at": None,
    "next_try_at": "2026-01-01T12:01:00Z",
    "late_until": None,
    "acknowledged_by": "",
    "url": f"{SITE}/fault/12/change/",
    "fault_id": "",
    "target": "",
    "lease_seconds": 0,
    "expires_at": None,
    "standing": "outstanding",
}
SCHEDULE_REQUEST: Example = {
    "scenario": "exchange-latency",
    "cron": "30 2 * * MON-FRI",
    "time_zone": "Europe/Berlin",
    "window_from": "02:00",
    "window_to": "04:00",
}
SCHEDULE: Example = {
    "suite": "",
    **SCHEDULE_REQUEST,
    "name": "nightly",
    "variables": {},
    "environment": "",
    "window_days": [],
    "grace_minutes": 15,
    "priority": 0,
    "paused": False,
    "next_at": "2026-01-02T01:30:00Z",
    "created_at": "2026-01-01T12:00:00Z",
    "changed_at": "2026-01-01T12:00:00Z",
    "changed_by": "ada",
    "url": f"{SITE}/schedule/3/change/",
}
APPROVAL: Example = {
    "id": 5,
    "state": "pending",
    "run": RUN_ID,
    "schedule": None,
    "scenario": "exchange-latency",
    "environment": "",
    "services": ["exchange"],
    "asked_by": "ada",
    "asked_at": "2026-01-01T12:00:00Z",
    "expires_at": "2026-01-02T12:00:00Z",
    "decided_by": "",
    "decided_at": None,
    "reason": "",
    "url": f"{SITE}/approval/5/change/",
}
SERVICE_REQUEST: Example = {"base_url": "http://127.0.0.1:9101", "description": "Sells and buys."}
SERVICE: Example = {
    **SERVICE_REQUEST,
    "name": "exchange",
    "health_path": "/health",
    "health_status": None,
    "protected": False,
    "proxy": "",
    "proxy_listener": "",
    "proxy_secret": "",
    "tls": {"ca": "exchange-ca.pem"},
    "auth": {"bearer": "${secret:SERVICE_EXCHANGE}"},
    "held_by": None,
    "touched_by": ["exchange-latency"],
    "probed_by": ["slow-day"],
}
ENVIRONMENT_REQUEST: Example = {
    "description": "The copy that releases are tried on.",
    "services": {"exchange": {"base_url": "http://exchange.staging.example.com:9101", "protected": False}},
    "variables": {"delay_ms": 300},
}
ENVIRONMENT: Example = {**ENVIRONMENT_REQUEST, "name": "staging", "protected": False}
ALLOW_LIST: Example = {
    "name": "commands",
    "setting": "ALLOWED_COMMANDS",
    "bound": ["systemctl", "/usr/sbin/tc"],
    "entries": ["systemctl"],
    "allowed": ["systemctl"],
    "changed_at": "2026-01-01T12:00:00Z",
    "changed_by": "ada",
}
HOST_REQUEST: Example = {"address": "chaos@shop-1.example.com:22", "labels": {"role": "shop"}}
HOST: Example = {**HOST_REQUEST, "name": "shop-1", "description": "", "protected": False, "held_by": None}
WEBHOOK_REQUEST: Example = {
    "name": "chat",
    "url": "https://hooks.example.com/runs",
    "events": ["run.finished"],
}
WEBHOOK: Example = {
    **WEBHOOK_REQUEST,
    "kind": "webhook",
    "key": "",
    "id": 2,
    "tags": [],
    "enabled": True,
    "disabled_because": "",
    "created_at": "2026-01-01T12:00:00Z",
    "changed_by": "ada",
}
WEBHOOK_DETAILS: Example = {**WEBHOOK, "last_deliveries": []}
