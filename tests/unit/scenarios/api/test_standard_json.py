"""Responses of the API are standard JSON, whatever a run or a driver has stored."""

import json
from http import HTTPStatus
from typing import Any

from django.test import RequestFactory

from scenarios.api.standard_json import StandardJSON


def refuse(name: str) -> Any:
    raise AssertionError(name)


def test_responses_contain_neither_nan_nor_infinities() -> None:
    kept = {"seen": {"value": float("nan"), "values": [float("inf"), -float("inf"), 1.5]}}
    written = StandardJSON().render(RequestFactory().get("/"), kept, response_status=HTTPStatus.OK)
    assert json.loads(written, parse_constant=refuse) == {
        "seen": {"value": "nan", "values": ["inf", "-inf", 1.5]}
    }
