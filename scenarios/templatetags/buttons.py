"""Buttons that send a POST, as in `{% post_button "Stop" "admin:scenarios_run_stop" run.pk %}`."""

from typing import Any

from django import template
from django.urls import reverse

register = template.Library()


@register.inclusion_tag("scenarios/post_button.html")
def post_button(
    text: str,
    url: str,
    *arguments: object,
    style: str = "button",
    label: str = "",
    name: str = "",
) -> dict[str, Any]:
    """A form with nothing but the button.

    Args:
        text: what stands on the button.
        url: the URL's name.
        *arguments: the URL's.
        style: CSS classes.
        label: what a screen reader says instead of the text, where several buttons have the same text.
        name: sent with the value "yes".
    """
    address = reverse(url, args=arguments)
    return {"text": text, "address": address, "style": style, "label": label, "name": name}
