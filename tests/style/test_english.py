"""Code, pages and docs avoid phrases that no English engineer would write."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
FOLDERS = (
    "benchmarks",
    "coordinator_client",
    "coordinator_site",
    "deploy",
    "docs",
    "frontend",
    "injector",
    "metrics_app",
    "scenarios",
    "tests",
)
SUFFIXES = {".py", ".md", ".html", ".txt", ".js", ".css", ".sh", ".yaml", ".yml", ".json", ".toml"}
# Migrations and what was released are history. The last two are built by other programs.
EXCLUDED = (
    "migrations",
    "tests/released",
    "node_modules",
    "package-lock.json",
    "scenarios/static/scenarios/editor.js",
)

# Each pattern with what to write instead. They also find words inside of names, as in `test_whoever_…`.
WORDS = {
    r"anew": "again",
    r"whoever": "the user (worker, process …) that",
    r"befalls?": "happens to",
    r"is none of": "does not belong to, is not one of",
    r"taken? (?:\w+ )?back": "undone, undo",
    r"(?:told|tells?) of": "reported, reports",
    r"struck out": "redacted",
    r"by lot": "in random order",
    r"by your word": "(leave it out)",
    r"as it stands": "as it is",
    r"of one's own": "its own",
    r"(?<!there )(?:is|are) no (?:driver|number|text|path|address|list|name)": "is not a …",
    r"inside of": "inside",
    r"outside of": "outside",
}
PREFIXES = r"_?(?:MOST|LONGEST|OFTENEST|LEAST|SHORTEST|FEWEST|LARGEST|SMALLEST|HIGHEST|LOWEST|DEEPEST)_[A-Z]"
PHRASES = {
    **{rf"(?i)(?<![a-z]){words.replace(' ', '[ _]')}(?![a-z])": instead for words, instead in WORDS.items()},
    rf"\b{PREFIXES}": "MAX_ or MIN_",
}
# The end of a path, a phrase in it, and why it is right there.
ALLOWED = {
    ("tests/style/test_english.py", ""): "this list",
}


def find_files() -> Iterator[Path]:
    yield from (path for path in PROJECT.iterdir() if path.suffix in {".md", ".py"})
    for folder in FOLDERS:
        for path in (PROJECT / folder).rglob("*"):
            name = path.relative_to(PROJECT).as_posix()
            if path.suffix in SUFFIXES and path.is_file() and not any(part in name for part in EXCLUDED):
                yield path


@cache
def read_files() -> dict[str, str]:
    return {path.relative_to(PROJECT).as_posix(): path.read_text(errors="replace") for path in find_files()}


def find_lines(pattern: str) -> Iterator[str]:
    search = re.compile(pattern).search
    for name, text in read_files().items():
        for number, line in enumerate(text.splitlines() if search(text) else (), start=1):
            if search(line) and not any(name.endswith(end) and part in line for end, part in ALLOWED):
                yield f"{name}:{number}: {line.strip()[:150]}"


@pytest.mark.parametrize("pattern", PHRASES)
def test_no_line_has_the_phrase(pattern: str) -> None:
    found = list(find_lines(pattern))
    assert not found, f"write {PHRASES[pattern]!r} instead:\n" + "\n".join(found)


def test_every_exception_is_still_needed() -> None:
    for end, part in ALLOWED:
        texts = [text for name, text in read_files().items() if name.endswith(end)]
        assert any(part in text for text in texts), f"remove the exception for {end}"


TERMS = (
    "scenario phase step action fault inject undo rollback ledger outstanding lease hold validation probe "
    "guard run outcome verdict worker watchdog scrape exposition label series"
)


@pytest.mark.parametrize("term", [*TERMS.split(), "steady state", "blast radius"])
def test_glossary_defines_the_term(term: str) -> None:
    assert f"\n| {term} | " in (PROJECT / "docs" / "glossary.md").read_text()
