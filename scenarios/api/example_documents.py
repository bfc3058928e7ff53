"""Documents that the OpenAPI document has as examples, as text and as JSON."""

from typing import Any

Example = dict[str, Any]
DOCUMENT = """apiVersion: coordinator/v1
kind: Scenario
metadata:
  name: exchange-latency
  title: A slow exchange
spec:
  variables:
    delay_ms: {type: integer, default: 700}
  phases:
    - name: chaos
      hold: 5s
      actions:
        - name: slow the exchange down
          do: {http: {service: exchange, method: POST, path: "/chaos/latency?ms=${delay_ms}"}}
          undo: {http: {service: exchange, method: DELETE, path: /chaos/latency}}
"""
SUITE_TEXT = """apiVersion: coordinator/v1
kind: Suite
metadata: {name: shop, title: What the shop survives}
spec:
  service: shop
  healthy: {probe: {http: {service: shop, path: /price}}, expect: {status: 200}}
  depends_on:
    - {service: cache, kind: redis, must: survive}
  recover_within: 10s
  fresh_for: 30d
"""
SCENARIO_DOCUMENT: Example = {
    "apiVersion": "coordinator/v1",
    "kind": "Scenario",
    "metadata": {"name": "exchange-latency", "title": "A slow exchange"},
    "spec": {
        "variables": {"delay_ms": {"type": "integer", "default": 700}},
        "phases": [
            {
                "name": "chaos",
                "hold": "5s",
                "actions": [
                    {
                        "name": "slow the exchange down",
                        "do": {
                            "http": {
                                "service": "exchange",
                                "method": "POST",
                                "path": "/chaos/latency?ms=${delay_ms}",
                            }
                        },
                        "undo": {
                            "http": {"service": "exchange", "method": "DELETE", "path": "/chaos/latency"}
                        },
                    }
                ],
            }
        ],
    },
}
HEALTHY: Example = {
    "probe": {"http": {"service": "shop", "path": "/price"}},
    "expect": {"status": 200},
}
SUITE_DOCUMENT: Example = {
    "apiVersion": "coordinator/v1",
    "kind": "Suite",
    "metadata": {"name": "shop", "title": "What the shop survives"},
    "spec": {
        "service": "shop",
        "healthy": HEALTHY,
        "depends_on": [{"service": "cache", "kind": "redis", "must": "survive"}],
        "recover_within": "10s",
        "fresh_for": "30d",
    },
}
EXPERIMENT: Example = {
    "title": "A slow exchange",
    "description": "Orders are still accepted.",
    "method": [
        {
            "type": "action",
            "name": "slow the exchange down",
            "provider": {"type": "http", "method": "POST", "url": "http://127.0.0.1:9101/chaos/latency"},
        }
    ],
}
