"""The badge of a suite for README files: its name and state as SVG, at an address that nobody can guess.

Images in README files are loaded without a token or a session, so the address itself is the secret. It shows
nothing but the state.
"""

import hashlib
from xml.sax.saxutils import escape

from django.utils.crypto import constant_time_compare, salted_hmac

from scenarios.domain.suite_states import ShownState
from scenarios.domain.xml_text import clean_xml_text
from scenarios.suites.matrix import Matrix

MAX_AGE_SECONDS = 60
_SALT = "scenarios.suite-badge"
_KEY_LENGTH = 20
# With white text on them, each has a contrast of at least 4.5.
_COLOURS = {
    ShownState.SURVIVED: "#1a7f4b",
    ShownState.DEGRADED: "#8a6100",
    ShownState.FAILED: "#b3261e",
    ShownState.NEVER_TRIED: "#5f6368",
    ShownState.OLDER: "#5f6368",
    ShownState.SKIPPED: "#5f6368",
}
_CHARACTER_WIDTH = 6.6
_PADDING = 12
_MAX_LABEL = 80


def compute_key(name: str) -> str:
    """The last part of the address of the suite's badge."""
    return salted_hmac(_SALT, name, algorithm="sha256").hexdigest()[:_KEY_LENGTH]


def is_key(name: str, key: str) -> bool:
    return constant_time_compare(key, compute_key(name))


def describe_state(matrix: Matrix) -> str:
    """As '12 survived, 1 degraded', or 'failed: 2 of 15'."""
    total = sum(matrix.counts.values()) - matrix.counts.get(ShownState.SKIPPED, 0)
    state = matrix.state
    if state in (ShownState.FAILED, ShownState.NEVER_TRIED, ShownState.OLDER):
        words = {ShownState.OLDER: f"older than {matrix.fresh_for}"}
        return f"{words.get(state, state.replace('_', ' '))}: {matrix.counts[state]} of {total}"
    good = (ShownState.SURVIVED, ShownState.DEGRADED)
    found = [f"{matrix.counts[state]} {state}" for state in good if matrix.counts.get(state)]
    return ", ".join(found) or "nothing can be tried"


def draw_badge(matrix: Matrix) -> str:
    label, words = f"suite {matrix.suite.name}"[:_MAX_LABEL], describe_state(matrix)
    left, right = (round(len(text) * _CHARACTER_WIDTH + _PADDING) for text in (label, words))
    label, words = (escape(clean_xml_text(text), {'"': "&quot;", "'": "&#39;"}) for text in (label, words))
    colour = _COLOURS[matrix.state]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + right}" height="20" role="img" '
        f'aria-label="{label}: {words}"><title>{label}: {words}</title>'
        f'<rect width="{left}" height="20" fill="#3c4043"/>'
        f'<rect x="{left}" width="{right}" height="20" fill="{colour}"/>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2:g}" y="14" textLength="{left - _PADDING}">{label}</text>'
        f'<text x="{left + right / 2:g}" y="14" textLength="{right - _PADDING}">{words}</text></g></svg>\n'
    )


def compute_tag(badge: str) -> str:
    return f'"{hashlib.sha256(badge.encode()).hexdigest()[:32]}"'
