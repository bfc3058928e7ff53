"""An installation started by `manage.py up`, with a Prometheus that scrapes it."""

import json
import urllib.parse
import urllib.request
from typing import Any


class Installation:
    def __init__(self, web: str, prometheus: str) -> None:
        self.web = web
        self.prometheus = prometheus

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(self.web + path, timeout=300) as answer:
            body: bytes = answer.read()
            return body

    def query(self, promql: str) -> list[dict[str, Any]]:
        """The instant vector, by Prometheus's HTTP API."""
        address = f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': promql})}"
        with urllib.request.urlopen(address, timeout=300) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        vector: list[dict[str, Any]] = found["data"]["result"]
        return vector

    def value(self, promql: str) -> float | None:
        found = self.query(promql)
        return float(found[0]["value"][1]) if len(found) == 1 else None
