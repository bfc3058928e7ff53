"""Slack: the body of an incoming webhook, with Block Kit.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
"""

from typing import Any

from scenarios.domain.outputs import shorten
from scenarios.notifications.channels.headline import Headline, Severity

# https://docs.slack.dev/reference/block-kit/blocks
MAX_TITLE = 150
MAX_FACT = 2000
MAX_FACTS = 10
MARKS = {
    Severity.CRITICAL: ":rotating_light:",
    Severity.ERROR: ":red_circle:",
    Severity.WARNING: ":large_yellow_circle:",
    Severity.INFO: ":large_green_circle:",
}


def build_body(headline: Headline) -> dict[str, Any]:
    """The JSON of one message. `text` is what notifications and screen readers use."""
    title = shorten(headline.title, MAX_TITLE)
    mark = MARKS[headline.severity]
    blocks: list[dict[str, Any]] = [_section(f"{mark} *<{_escape(headline.link)}|{_escape(title)}>*")]
    if headline.facts:
        facts = [_write_fact(name, text) for name, text in headline.facts[:MAX_FACTS]]
        blocks.append({"type": "section", "fields": [_markdown(fact) for fact in facts]})
    return {"text": _escape(title), "blocks": blocks}


def _write_fact(name: str, text: str) -> str:
    # Escapes count too: five characters at most stand for one.
    start = f"*{_escape(name)}*\n"
    return start + _escape(shorten(text, (MAX_FACT - len(start)) // 5))


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": _markdown(text)}


def _markdown(text: str) -> dict[str, Any]:
    """Verbatim: no name of a channel or a person in the text becomes a mention."""
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def _escape(text: str) -> str:
    """Slack's three control characters. Line ends and pipes would end a link's text."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return escaped.replace("\n", " ").replace("|", "¦")
