"""`{% run_badges run %}`, `{% badge "passed" %}` and durations, for templates."""

from datetime import timedelta

from django import template
from django.utils.safestring import SafeString

from scenarios.domain.durations import format_duration
from scenarios.models import Run
from scenarios.pictures import badges

register = template.Library()
MINUTE = 60.0


@register.simple_tag
def run_badges(run: Run, *, big: bool = False) -> SafeString:
    return badges.run_badges(run, big=big)


@register.simple_tag
def badge(verdict: str, word: str = "") -> SafeString:
    return badges.badge(verdict, word)


@register.filter
def duration(length: timedelta | float | None) -> str:
    """As people write it: '4.3s', '2m10s'; nothing where there is none."""
    if length is None:
        return ""
    seconds = length.total_seconds() if isinstance(length, timedelta) else length
    return format_duration(round(seconds, 1) if seconds < MINUTE else round(seconds))
