"""The pages of docs/, shown in the admin."""

from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from urllib.parse import urldefrag

from django.conf import settings
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token

# In the order in which newcomers should read them; each is docs/NAME.md.
PAGES = {
    "tutorial": "Tutorial",
    "scenario-language": "Scenario language",
    "loads": "Loads",
    "suites": "Suites",
    "command-line": "Command line",
    "client": "Client",
    "api": "API",
    "api-clients": "API clients",
    "operating": "Operations",
    "integrations": "Integrations",
    "server-faults": "Faults of PostgreSQL and Redis",
    "host-faults": "Faults of hosts",
    "kubernetes": "Kubernetes",
    "containers": "Faults of containers",
    "extending": "Extending",
    "chaos-toolkit": "Chaos Toolkit",
    "glossary": "Glossary",
}


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    title: str
    html: SafeString


@cache  # the files never change at run time
def read_page(name: str) -> Page:
    """Raises KeyError if there is no such page."""
    title = PAGES[name]
    text = (settings.FILES_DIR / "docs" / f"{name}.md").read_text(encoding="utf-8")
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(text)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", build_anchor(following.content))
        for child in token.children or []:
            _link_to_admin(child)
    # The Markdown comes from this project.
    return Page(name, title, mark_safe(markdown.renderer.render(tokens, markdown.options, {})))  # noqa: S308


def build_anchor(heading: str) -> str:
    """As on GitHub, because links between the pages are written for it."""
    kept = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -_")
    return kept.replace(" ", "-")


def _link_to_admin(token: Token) -> None:
    if token.type != "link_open":
        return
    path, fragment = urldefrag(str(token.attrGet("href")))
    name = path.removesuffix(".md")
    if name in PAGES:
        token.attrSet("href", reverse("admin:guide", args=[name]) + (f"#{fragment}" if fragment else ""))
    elif path and not path.startswith(("http://", "https://")):
        del token.attrs["href"]  # a file of the project, not served here
