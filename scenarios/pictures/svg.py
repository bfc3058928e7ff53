"""SVG elements as text. All content is escaped; there are no style attributes and no scripts.

Colours come from classes: the page's style sheet, or the report's own, says what they look like.
"""

from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe


def element(name: str, *children: str, **attributes: str | float) -> SafeString:
    """`class_` is written as class, `text_anchor` as text-anchor, numbers with one decimal at most."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{conditional_escape(_written(value))}"'
        for key, value in attributes.items()
    )
    inside = "".join(conditional_escape(child) for child in children)
    return mark_safe(f"<{name}{words}>{inside}</{name}>")  # noqa: S308 - escaped above


def join(*parts: str) -> SafeString:
    return mark_safe("".join(conditional_escape(part) for part in parts))  # noqa: S308 - escaped here


def picture(
    width: float, height: float, title: str, *children: str, left: float = 0.0, **attributes: str | float
) -> SafeString:
    """A picture without the part to the left of `left`."""
    return element(
        "svg",
        *children,
        xmlns="http://www.w3.org/2000/svg",
        class_="picture",
        viewBox=f"{left:g} 0 {width - left:g} {height:g}",
        role="img",
        aria_label=title,
        **attributes,
    )


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.1f}".removesuffix(".0")
