"""What strangers wrote stays words in the Markdown report, as a renderer of CommonMark shows it."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from scenarios.models import Event, Fault, Run
from scenarios.reports import render_report
from scenarios.reports.markdown_text import escape_paragraph, escape_text
from tests.integration.scenarios.story_rows import Telling

# As GitHub's flavour has them in the text of a finished page: addresses, mails, people, issues.
RECOGNISED = re.compile(
    r"https?://|www\.\w|[\w.+-]+@[\w-]+\.|(?<!\w)@\w|#\d|\bGH-\d|:[a-z_]\w*:", re.IGNORECASE
)
OURS = {"h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
LIES = [
    "[click](javascript:alert(1))",
    "![x](https://evil.example/x.png)",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<javascript:alert(1)>",
    "<https://evil.example>",
    "see https://evil.example/login or www.evil.example",
    "write to me@evil.example, @octocat and @org/team, #12, GH-3, org/repo#4",
    "a | b | c",
    "a\nb\n\n# big\n| x | y |\n| --- | --- |",
    "`code` ``two`` ```three",
    "[ref]: https://evil.example\n[ref]",
    "[^1] and [^1]: a footnote",
    "**bold** _it_ __b__ ~~gone~~ $x^2$",
    "&lt;b&gt; &#60;i&#62; &amp;",
    "back\\slash\\| end\\",
    "- a list",
    "1. a list",
    "===",
    "---",
    "+ x",
    "> quoted",
    "# heading",
    "\u202eenola tfel\u2066",
    "\x00\x1b[31mred",
    ":tada: javascript:alert(1)",
    "- [ ] a task",
]


class Page(HTMLParser):
    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(
            MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(markdown)
        )

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u2060\u202a-\u202e\u2066-\u2069\ufeff]")


def visible(text: str) -> str:
    return " ".join(INVISIBLE.sub("", text).split())


@pytest.mark.parametrize("lie", LIES)
def test_untrusted_text_does_not_become_markup(lie: str) -> None:
    alone = Page(escape_paragraph(lie))
    assert alone.tags == ["p"]
    assert visible(alone.text) == visible(lie)
    assert not RECOGNISED.search(alone.text)
    table = Page(f"| a | b |\n| --- | --- |\n| {escape_text(lie)} | here |\n")
    assert table.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert visible(table.text) == f"a b {visible(lie)} here".strip()


@given(st.text(alphabet="[](){}<>!*_`~#|\\&;:/@.-+=^$\"'ahtpsw1 \n\t", max_size=40))
def test_random_characters_do_not_become_markup(text: str) -> None:
    words = visible(text)
    page = Page(escape_paragraph(text))
    assert page.tags == (["p"] if words else [])
    assert visible(page.text) == words
    assert not RECOGNISED.search(page.text)
    table = Page(f"| a | b |\n| --- | --- |\n| {escape_text(text)} | here |\n")
    assert table.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert visible(table.text) == " ".join(f"a b {words} here".split())


@pytest.mark.django_db
@pytest.mark.parametrize("lie", [lie for lie in LIES if "\x00" not in lie])
def test_report_contains_only_its_own_markup(lie: str) -> None:
    telling = Telling()
    telling.begin()
    run = telling.finish()
    Fault.objects.update(action=lie[:200], service=lie[:63], reason=lie)
    Event.objects.exclude(subject="").update(subject=lie[:200], phase=lie[:200])
    Run.objects.update(reason=lie, scenario_name=lie[:63], variables={"target": lie}, document="")
    run = Run.objects.get()
    page = Page(render_report(run, "md").decode())
    assert set(page.tags) <= OURS
    assert page.tags.count("h2") == 1
    assert not RECOGNISED.search(page.text)
    assert page.text.count("✅") >= 1
