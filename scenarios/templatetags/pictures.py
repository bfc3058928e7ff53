"""Badges, durations and moments for templates, as in `{% run_badges run %}` and `{{ seconds|duration }}`."""

from django import template
from django.utils.safestring import SafeString

from scenarios.models import Run, SuiteRun
from scenarios.pictures import badges, suite_badges, words
from scenarios.suites.matrix import MatrixCell, find_fault_title
from scenarios.suites.small_matrices import SmallCell

register = template.Library()
register.filter("duration", words.duration)
register.filter("moment", words.moment)
register.filter("in_zone", words.moment_in_zone)
register.filter("fault_title", find_fault_title)
register.simple_tag(badges.delivery_badge)


@register.simple_tag
def run_badges(run: Run, *, big: bool = False) -> SafeString:
    return badges.run_badges(run, big=big)


@register.simple_tag
def badge(verdict: str, word: str = "") -> SafeString:
    return badges.badge(verdict, word)


@register.simple_tag
def suite_run_badge(suite_run: SuiteRun) -> SafeString:
    return suite_badges.suite_run_badge(suite_run)


@register.simple_tag
def suite_state(state: str) -> SafeString:
    return suite_badges.suite_badge(state)


@register.simple_tag
def suite_cell(cell: MatrixCell, fresh_for: str) -> SafeString:
    return suite_badges.draw_cell(cell, fresh_for)


@register.simple_tag
def small_suite_cell(cell: SmallCell) -> SafeString:
    return suite_badges.draw_small_cell(cell)
