"""A sample experiment of Chaos Toolkit, and its translation."""

import json
from collections.abc import Mapping
from typing import Any

import yaml
from django.test import override_settings
from pydantic import BaseModel

from scenarios.domain.errors import Problem
from scenarios.drivers.chaostoolkit import ChaosToolkitArguments
from scenarios.drivers.command import CommandArguments
from scenarios.drivers.http_arguments import HttpArguments
from scenarios.drivers.wait import WaitArguments
from scenarios.language.document import build_plan, parse_document
from scenarios.language.experiments.translation import translate

DRIVERS: Mapping[str, type[BaseModel]] = {
    "chaostoolkit": ChaosToolkitArguments,
    "command": CommandArguments,
    "http": HttpArguments,
    "wait": WaitArguments,
}
OPEN_SITE = {"ALLOWED_COMMANDS": ("kubectl",), "ALLOWED_CHAOSTOOLKIT_MODULES": ("chaosaws",)}

HEALTHY = {
    "type": "probe",
    "name": "the exchange is healthy",
    "tolerance": 200,
    "provider": {"type": "http", "url": "http://${host}:8081/health", "timeout": [3, 5]},
}
STOP = {
    "type": "action",
    "name": "stop the exchange",
    "provider": {"type": "process", "path": "kubectl", "arguments": ["scale", "--replicas=0"]},
}
START = {
    "type": "action",
    "name": "start the exchange",
    "provider": {"type": "process", "path": "kubectl", "arguments": {"scale": "--replicas=1"}},
}
EXPERIMENT: dict[str, Any] = {
    "version": "1.0.0",
    "title": "Orders survive the exchange's death",
    "description": "As it says.",
    "tags": ["exchange"],
    "contributions": {"availability": "high"},
    "configuration": {"host": "127.0.0.1"},
    "steady-state-hypothesis": {"title": "All is well", "probes": [HEALTHY]},
    "method": [{**STOP, "pauses": {"after": 5}}, {**HEALTHY, "name": "it is gone", "tolerance": 503}],
    "rollbacks": [START],
}


def action(name: str, provider: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "action", "name": name, "provider": provider, **more}


def translated(**changes: Any) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """The scenario's document, which is valid, and what was left out."""
    translation = translate(json.dumps({**EXPERIMENT, **changes}, indent=1))
    with override_settings(**OPEN_SITE):
        build_plan(parse_document(translation.source, DRIVERS), {})
    return yaml.safe_load(translation.source), translation.left_out


def phases(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {phase["name"]: phase for phase in document["spec"]["phases"]}
