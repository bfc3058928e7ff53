"""Moments for templates, as in `{{ run.queued_at|local_time }}`."""

from django import template

from scenarios.pictures import moments

register = template.Library()
register.filter("local_time", moments.show_moment)
register.filter("local_clock", moments.show_clock)
