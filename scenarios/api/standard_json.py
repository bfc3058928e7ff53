"""Responses in standard JSON, without NaN and infinities, whatever the database contains."""

from typing import Any

from django.http import HttpRequest
from ninja.renderers import JSONRenderer

from scenarios.domain.outputs import dump_json


class StandardJSON(JSONRenderer):
    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> str:
        return dump_json(data, cls=self.encoder_class)
