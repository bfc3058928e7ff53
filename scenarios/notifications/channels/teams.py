"""Microsoft Teams: the body for a workflow that posts an Adaptive Card to a channel or chat.

https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook
"""

from typing import Any

from scenarios.domain.outputs import shorten
from scenarios.notifications.channels.headline import Headline, Severity

# A message may have 28 kB, and a character four bytes.
MAX_TITLE = 300
MAX_FACT = 500
COLORS = {
    Severity.CRITICAL: "attention",
    Severity.ERROR: "attention",
    Severity.WARNING: "warning",
    Severity.INFO: "good",
}


def build_body(headline: Headline) -> dict[str, Any]:
    """The JSON of one message with one card."""
    title = {
        "type": "TextBlock",
        "text": _escape(shorten(headline.title, MAX_TITLE)),
        "weight": "bolder",
        "size": "medium",
        "wrap": True,
        "color": COLORS[headline.severity],
    }
    facts = [{"title": name, "value": _escape(shorten(text, MAX_FACT))} for name, text in headline.facts]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, {"type": "FactSet", "facts": facts}] if facts else [title],
        "actions": [{"type": "Action.OpenUrl", "title": "Open in Test Coordinator", "url": headline.link}],
    }
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": card}]}


def _escape(text: str) -> str:
    """Cards show a part of Markdown: no name may become a link or a list."""
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]()#+-!|<>" else letter for letter in text)
