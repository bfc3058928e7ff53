"""Escapes untrusted text in Markdown: titles, names, reasons, and what targets answered.

Nothing in it becomes a link, an image, HTML or other markup: not in CommonMark, not in GitHub's tables and
footnotes, and not where a site autolinks addresses, people and issues in the finished page.
"""

import re

# Invisible characters, and those that reverse the rest of a line, which could disguise a text.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&^$])")
# An invisible word joiner where an address, a person or an issue would be recognised. Backslashes do not
# help, because sites look at the text after they are removed.
_JOINER = "\u2060"
_AUTOLINKED = re.compile(
    r"(?<=:)(?=[A-Za-z_/+])|(?<=@)(?=\w)|(?<=#)(?=\w)|(?<=\w\.)(?=[A-Za-z])|(?<=\bGH-)(?=\d)", re.IGNORECASE
)
_BEGINS_A_BLOCK = re.compile(r"(?:[-+=:]|\d{1,9}[.)])")


def escape_text(text: str) -> str:
    """The text on one line, for use within a line or in the cell of a table."""
    line = _AUTOLINKED.sub(_JOINER, " ".join(_INVISIBLE.sub("", text).split()))
    return _SPECIAL.sub(r"\\\1", line)


def escape_paragraph(text: str) -> str:
    """The text as a paragraph, whatever it begins with."""
    line = escape_text(text)
    return f"{_JOINER}{line}" if _BEGINS_A_BLOCK.match(line) else line
