"""Badges, durations and moments for templates, as in `{% run_badges run %}` and `{{ seconds|duration }}`."""

from django import template
from django.utils.safestring import SafeString

from scenarios.models import Run
from scenarios.pictures import badges, words

register = template.Library()
register.filter("duration", words.duration)
register.filter("moment", words.moment)
register.filter("in_zone", words.moment_in_zone)
register.simple_tag(badges.delivery_badge)


@register.simple_tag
def run_badges(run: Run, *, big: bool = False) -> SafeString:
    return badges.run_badges(run, big=big)


@register.simple_tag
def badge(verdict: str, word: str = "") -> SafeString:
    return badges.badge(verdict, word)
