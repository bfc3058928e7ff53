"""Answers of the API are JSON by the standard, whatever a run or a site's driver has kept."""

import json
from http import HTTPStatus
from typing import Any

from django.test import RequestFactory

from scenarios.api.standard_json import StandardJSON


def refuse(name: str) -> Any:
    raise AssertionError(name)


def test_neither_nan_nor_the_infinities_are_in_an_answer() -> None:
    kept = {"seen": {"value": float("nan"), "values": [float("inf"), -float("inf"), 1.5]}}
    written = StandardJSON().render(RequestFactory().get("/"), kept, response_status=HTTPStatus.OK)
    assert json.loads(written, parse_constant=refuse) == {
        "seen": {"value": "nan", "values": ["inf", "-inf", 1.5]}
    }
