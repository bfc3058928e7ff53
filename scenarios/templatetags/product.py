"""Which version of the product a page is of."""

from django import template
from django.conf import settings

register = template.Library()


@register.simple_tag
def product_version() -> str:
    return str(settings.VERSION)
