"""The states of suites as badges: a shape, a word and a colour."""

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from scenarios.domain.suite_states import ShownState, SuiteRunState
from scenarios.models import SuiteRun
from scenarios.pictures.badges import SHAPES, badge
from scenarios.suites.matrix import MatrixCell
from scenarios.suites.small_matrices import SmallCell

# The badge of a verdict whose shape and colour each state has.
_VERDICTS = {
    "survived": "passed",
    "degraded": "timed_out",
    "failed": "failed",
    "never_tried": "queued",
    "older": "interrupted",
    "skipped": "aborted",
    "waiting": "queued",
    "running": "running",
    "errored": "errored",
    "passed": "passed",
    "aborted": "aborted",
}


def suite_badge(state: str, words: str = "") -> SafeString:
    return badge(_VERDICTS[state], words or state.replace("_", " "))


def draw_cell(cell: MatrixCell, fresh_for: str) -> SafeString:
    """The cell's state, as a link to the run that proves it, and why it is so."""
    words = f"older than {fresh_for}" if cell.state is ShownState.OLDER else ""
    shown = suite_badge(cell.state, words)
    if cell.run is not None:
        place = reverse("admin:scenarios_run_change", args=[cell.run.pk])
        shown = format_html('<a href="{}">{}</a>', place, shown)
    if cell.state is ShownState.OLDER:
        reason = cell.proved.replace("_", " ")
    else:
        reason = cell.obstacle if cell.state is ShownState.SKIPPED else cell.reason
    return format_html('{} <span class="quiet">{}</span>', shown, reason) if reason else shown


def draw_small_cell(cell: SmallCell) -> SafeString:
    """The cell's state as a shape, as a link to the run that proves it; its words appear on hover."""
    words = f"{cell.dependency}, {cell.fault}: {cell.state.replace('_', ' ')}"
    told = f"{words}: {cell.reason}" if cell.reason else words
    verdict = _VERDICTS[cell.state]
    shape = mark_safe(SHAPES[verdict])  # noqa: S308 - a constant of badges.py
    picture = format_html('<svg viewBox="0 0 12 12" aria-hidden="true">{}</svg>', shape)
    if cell.run is None:
        return format_html(
            '<span class="verdict {}" role="img" aria-label="{}" title="{}">{}</span>',
            *(verdict, words, told, picture),
        )
    place = reverse("admin:scenarios_run_change", args=[cell.run])
    return format_html(
        '<a class="verdict {}" href="{}" aria-label="{}" title="{}">{}</a>',
        *(verdict, place, words, told, picture),
    )


def suite_run_badge(suite_run: SuiteRun) -> SafeString:
    is_over = suite_run.state == SuiteRunState.FINISHED
    return suite_badge(suite_run.outcome if is_over else suite_run.state)
