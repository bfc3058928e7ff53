"""Words of strangers in Markdown: a title, a name, a reason, what a target answered. They stay words.

No character of theirs makes a link, an image, HTML or any other markup, in CommonMark, in GitHub's tables and
footnotes, nor where a site looks through the finished page: for addresses, people it could call, and issues.
"""

import re

# What nobody sees and what turns the rest of a line around: the second could make a text look like another.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>|#~&^$])")
# A word joiner, which is not seen either, where an address, a person or an issue would be recognised: sites
# look for those in the text that is left when the backslashes are gone.
_JOINER = "\u2060"
_AUTOLINKED = re.compile(
    r"(?<=:)(?=[A-Za-z/+])|(?<=@)(?=\w)|(?<=#)(?=\w)|(?<=\w\.)(?=[A-Za-z])|(?<=\bGH-)(?=\d)", re.IGNORECASE
)
_BEGINS_A_BLOCK = re.compile(r"(?:[-+=:]|\d{1,9}[.)])")


def escape_text(text: str) -> str:
    """The text on one line, within a line or the cell of a table."""
    line = _AUTOLINKED.sub(_JOINER, " ".join(_INVISIBLE.sub("", text).split()))
    return _SPECIAL.sub(r"\\\1", line)


def escape_paragraph(text: str) -> str:
    """The text as a paragraph of its own, whatever it begins with."""
    line = escape_text(text)
    return f"{_JOINER}{line}" if _BEGINS_A_BLOCK.match(line) else line
