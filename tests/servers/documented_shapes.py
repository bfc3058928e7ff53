"""What the receivers of messages document about a request, as assertions.

Slack: https://docs.slack.dev/reference/block-kit/blocks. Teams: https://adaptivecards.io/explorer, at 1.4.
PagerDuty: https://developer.pagerduty.com/docs/send-alert-event.
"""

import json
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit


def check_slack(body: dict[str, Any]) -> None:
    assert body.keys() == {"text", "blocks"}
    assert body["text"]
    assert 1 <= len(body["blocks"]) <= 50
    for block in body["blocks"]:
        assert block["type"] == "section"
        assert block.keys() <= {"type", "text", "fields"}
        if "text" in block:
            _check_slack_text(block["text"], 3000)
        if "fields" in block:
            assert 1 <= len(block["fields"]) <= 10
            for field in block["fields"]:
                _check_slack_text(field, 2000)


def _check_slack_text(text: dict[str, Any], limit: int) -> None:
    assert text.keys() == {"type", "text", "verbatim"}
    assert (text["type"], text["verbatim"]) == ("mrkdwn", True)
    assert 1 <= len(text["text"]) <= limit


def check_teams(body: dict[str, Any]) -> None:
    assert len(json.dumps(body, ensure_ascii=False).encode()) <= 28 * 1024
    assert body.keys() == {"type", "attachments"}
    assert body["type"] == "message"
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    for element in card["body"]:
        if element["type"] == "TextBlock":
            assert element["color"] in {"default", "dark", "light", "accent", "good", "warning", "attention"}
            assert element["text"]
        else:
            assert element["type"] == "FactSet"
            assert all(fact.keys() == {"title", "value"} for fact in element["facts"])
    (action,) = card["actions"]
    assert action["type"] == "Action.OpenUrl"
    assert urlsplit(action["url"]).scheme in {"http", "https"}


def check_pagerduty(body: dict[str, Any]) -> None:
    assert len(json.dumps(body).encode()) <= 512 * 1024
    assert len(body["routing_key"]) == 32
    assert body["event_action"] in {"trigger", "acknowledge", "resolve"}
    assert 1 <= len(body["dedup_key"]) <= 255
    if body["event_action"] != "trigger":
        return
    payload = body["payload"]
    assert 1 <= len(payload["summary"]) <= 1024
    assert payload["source"]
    assert payload["severity"] in {"critical", "error", "warning", "info"}
    assert datetime.fromisoformat(payload["timestamp"]).tzinfo is not None
    assert all(link["href"].startswith("http") and link["text"] for link in body["links"])
