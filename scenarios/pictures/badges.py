"""Verdicts as a shape, a word and a colour, so that nobody depends on colour alone."""

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from scenarios.domain.outcomes import Rollback, RunState
from scenarios.domain.webhooks import DeliveryState
from scenarios.models import Delivery, Run

_LINE = 'fill="none" stroke-width="2.2" stroke-linecap="round" stroke-linejoin="round"'
# Drawn in a square of 12.
SHAPES = {
    "passed": f'<path d="M1.5 6.5l3 3.2 6-7.4" {_LINE}/>',
    "failed": f'<path d="M2 2l8 8M10 2l-8 8" {_LINE}/>',
    "errored": '<path d="M6 1l5.4 10H.6z" stroke="none"/>',
    "aborted": '<path d="M2 2h8v8H2z" stroke="none"/>',
    "timed_out": f'<circle cx="6" cy="6" r="4.8" {_LINE}/><path d="M6 3.2V6l2 1.4" {_LINE}/>',
    "interrupted": f'<path d="M1 6h2.6M8.4 6H11M4.8 10l2.4-8" {_LINE}/>',
    "running": '<path d="M2.5 1l8 5-8 5z" stroke="none"/>',
    "queued": (
        '<circle cx="2" cy="6" r="1.4"/><circle cx="6" cy="6" r="1.4"/><circle cx="10" cy="6" r="1.4"/>'
    ),
    "awaiting_approval": (
        '<circle cx="4" cy="3.2" r="2.2"/><path d="M.4 11a3.6 4 0 0 1 7.2 0z"/><path d="M10 3v4M8 5h4" '
        f"{_LINE}/>"
    ),
    "protected": f'<path d="M6 1l4 1.6v3.2c0 2.6-1.6 4.5-4 5.4-2.4-.9-4-2.8-4-5.4V2.6z" {_LINE}/>',
    "unverified": (
        f'<path d="M3.2 4.2A2.8 2.8 0 1 1 6 7v1.2" {_LINE}/><circle cx="6" cy="10.8" r="1.1" stroke="none"/>'
    ),
    "dirty": '<path d="M7.5 0L2 7h3.2l-1 5L10 5H6.6z" stroke="none"/>',
}
WORDS = {
    "awaiting_approval": "awaiting approval",
    "dirty": "rollback dirty",
    "timed_out": "timed out",
    "unverified": "rollback unverified",
}


def badge(verdict: str, word: str = "", *, big: bool = False) -> SafeString:
    """The badge for a verdict in SHAPES, with its own word or the given one."""
    return format_html(
        '<span class="verdict {}{}"><svg viewBox="0 0 12 12" aria-hidden="true">{}</svg>{}</span>',
        verdict,
        " big" if big else "",
        mark_safe(SHAPES[verdict]),  # noqa: S308 - a constant of this file
        word or WORDS.get(verdict, verdict),
    )


def run_badges(run: Run, *, big: bool = False) -> SafeString:
    """The state of the run until it has ended, then its outcome and, unless clean, its rollback."""
    verdicts = [run.outcome if run.state == RunState.FINISHED else run.state]
    if run.rollback in (Rollback.DIRTY, Rollback.UNVERIFIED):
        verdicts.append(run.rollback)
    return format_html_join(" ", "{}", ((badge(verdict, big=big),) for verdict in verdicts))


def delivery_badge(delivery: Delivery) -> SafeString:
    """The state of a message to a webhook or to Grafana."""
    if delivery.state == DeliveryState.PENDING:
        return badge("running", "retrying") if delivery.reason else badge("queued", "pending")
    return badge("passed" if delivery.state == DeliveryState.DELIVERED else "failed", delivery.state)
