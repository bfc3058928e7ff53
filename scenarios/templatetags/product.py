"""The product's version and the global stop, for every page."""

from django import template
from django.conf import settings

from scenarios.models import GlobalStop

register = template.Library()


@register.simple_tag
def product_version() -> str:
    return str(settings.VERSION)


@register.simple_tag
def pulled_global_stop() -> GlobalStop | None:
    return GlobalStop.objects.filter(pulled_at__isnull=False).first()
