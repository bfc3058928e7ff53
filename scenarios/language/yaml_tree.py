"""Parses YAML or JSON into a tree whose nodes know their line and column.

It uses the parser's events and not its constructors, so no tag can create objects. It does not recurse, so
nesting cannot exhaust the stack.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from scenarios.domain.errors import InvalidDocument, Problem
from scenarios.language.core_scalars import CORE_TAGS, parse_scalar, parse_tagged_scalar
from scenarios.language.yaml_nodes import MAX_DEPTH, Node
from scenarios.language.yaml_text import MAX_BYTES, decode_text, holds_control_characters

# Keys and values, with every alias expanded. A document of 1,000 steps has about 15,000; this many are read
# in well under 100 ms.
MAX_NODES = 25_000
# Per list or mapping: as many variables, phases or actions as steps are allowed.
MAX_ENTRIES = 1_000
# Nobody reads more of them.
MAX_PROBLEMS = 200
_TOO_MANY_NODES = f"the document has more than {MAX_NODES} keys and values, aliases expanded"
_SPLIT = "split it into several scenarios"
_STARTS = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_ENDS = (yaml.MappingEndEvent, yaml.SequenceEndEvent)
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True)
class _Open:
    """A collection whose end has not come yet; `anchor` names it once it is complete."""

    node: Node
    anchor: str | None
    key: Node | None = None


def read_tree(source: str | bytes) -> Node:
    """Parse the document.

    Raises:
        InvalidDocument: the text is not YAML, or breaks the limits; with the problems up to that point.
    """
    events, early_end = _parse_events(decode_text(source))
    composer = _Composer()
    problems = composer.problems
    try:
        # The part before a syntax error may have other problems. A document that is too large has no events.
        for event in events:
            composer.take(event)
    except _Refused:
        early_end = None
    if early_end:
        problems.append(early_end)
    if problems:
        raise InvalidDocument(problems)
    if composer.root is None:
        raise InvalidDocument([Problem(1, 1, "", "the document is empty", "begin with 'apiVersion'")])
    return composer.root


def _parse_events(text: str) -> tuple[list[Any], Problem | None]:
    """The parser's events, and the syntax error or limit that ended them early.

    Checks the depth here, too, because libyaml takes quadratic time for nested brackets.
    """
    events: list[Any] = []
    depth = nodes = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            kind = type(event)
            events.append(event)
            if kind in _ENDS:
                depth -= 1
                continue
            nodes += 1
            if kind in _STARTS:
                depth += 1
            if depth > MAX_DEPTH:
                break
            if nodes > MAX_NODES:
                return [], _build_problem(event, _TOO_MANY_NODES, _SPLIT)
    except yaml.YAMLError as error:
        return events, _build_syntax_problem(error, text)
    return events, None


def _build_problem(event: Any, message: str, hint: str) -> Problem:
    place = _build_node(event)
    return Problem(place.line, place.column, "", message, hint)


class _Refused(Exception):  # noqa: N818 - ends the loop; the problem is already noted
    pass


class _Composer:
    def __init__(self) -> None:
        self.root: Node | None = None
        self.problems: list[Problem] = []
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._nodes = 0
        self._characters = 0
        # Looked up by type, because a document has tens of thousands of events.
        self._handlers: Mapping[type[yaml.Event], Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._begin,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceStartEvent: self._begin,
            yaml.SequenceEndEvent: self._end,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }

    def take(self, event: yaml.Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _document(self, event: Any) -> None:
        if self.root is not None:
            self._refuse(event, "a second document begins here", "keep one document in one file")

    def _scalar(self, event: Any) -> None:
        text = event.value
        node = _build_node(event, text)
        node.characters = len(text)
        if event.tag is not None:
            self._check_tag(event)
        if event.tag is not None or event.implicit[0]:
            try:
                node.value = _read_scalar(event)
            except ValueError as error:
                self._note(node, str(error), "put it in quotes if it is meant as text")
        if not text.isprintable() and holds_control_characters(text):
            self._note(node, f"{text[:80]!r} contains a control character", "remove it")
        # A key is its text: `on`, `1` and `true` are ordinary names.
        self._count(node)
        self._place(node, event.anchor, name=text)

    def _begin(self, event: Any) -> None:
        node = _build_node(event, [])
        if isinstance(event, yaml.MappingStartEvent):
            node.value, node.keys = {}, {}
        self._check_tag(event)
        if len(self._open) >= MAX_DEPTH:
            self._refuse(event, f"this is nested more than {MAX_DEPTH} levels deep", "flatten the document")
        self._count(node)
        if event.anchor:
            self._anchors[event.anchor] = None
        self._open.append(_Open(node, event.anchor))

    def _end(self, _event: Any) -> None:
        closed = self._open.pop()
        self._place(closed.node, closed.anchor)

    def _alias(self, event: Any) -> None:
        target = self._anchors.get(event.anchor)
        if target is None:
            known = event.anchor in self._anchors
            rule = "is inside the node that it refers to" if known else "has no anchor above it"
            self._refuse(event, f"the alias '*{event.anchor}' {rule}", "" if known else "add '&' before it")
            return
        if len(self._open) + target.height > MAX_DEPTH:
            rule = f"nests more than {MAX_DEPTH} levels deep"
            self._refuse(event, f"the alias '*{event.anchor}' {rule}", "flatten the document")
        self._count(target)
        self._place(target, None, name=target.value if isinstance(target.value, str) else str(target.value))

    def _place(self, node: Node, anchor: str | None, name: str = "") -> None:
        if anchor:
            self._anchors[anchor] = node
        if not self._open:
            self.root = node
            return
        parent = self._open[-1]
        if len(parent.node.value) >= MAX_ENTRIES:
            self._refuse(node, f"this is entry {MAX_ENTRIES + 1} of a collection; the limit is {MAX_ENTRIES}")
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = self._as_key(node, name, parent.node)
            return
        else:
            parent.node.value[parent.key.value] = node
            keys: Any = parent.node.keys
            keys[parent.key.value] = parent.key
            parent.key = None
        parent.node.add_size(node)

    def _as_key(self, node: Node, name: str, mapping: Node) -> Node:
        if isinstance(node.value, dict | list):
            self._note(node, "a key must be text, not a list or a mapping", "write keys as plain text")
        # A new node, because an anchor may refer to the old one.
        key = Node(name, node.line, node.column) if node.value is not name else node
        if name in mapping.value:
            hint = f"the first one is in line {mapping.keys[name].line}"
            self._note(key, f"duplicate key {name[:80]!r}", hint)
        mapping.nodes += 1
        mapping.characters += node.characters
        return key

    def _count(self, node: Node) -> None:
        self._nodes += node.nodes
        self._characters += node.characters
        if self._nodes > MAX_NODES:
            self._refuse(node, _TOO_MANY_NODES)
        if self._characters > MAX_BYTES:
            self._refuse(node, f"aliases expand the document beyond {MAX_BYTES} bytes (256 KiB)")

    def _check_tag(self, event: Any) -> None:
        if event.tag is None or event.tag in CORE_TAGS:
            return
        name = event.tag.replace("tag:yaml.org,2002:", "!!")[:80]
        self._note(
            _build_node(event),
            f"the tag {name!r} is not allowed; only YAML's core tags are",
            "remove the tag",
        )

    def _note(self, node: Node, message: str, hint: str = "") -> None:
        self.problems.append(Problem(node.line, node.column, "", message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            raise _Refused

    def _refuse(self, at: Any, message: str, hint: str = _SPLIT) -> None:
        self._note(at if isinstance(at, Node) else _build_node(at), message, hint)
        raise _Refused


def _build_node(event: Any, value: Any = None) -> Node:
    mark = event.start_mark
    return Node(value, mark.line + 1, mark.column + 1)


def _read_scalar(event: Any) -> Any:
    if event.tag in CORE_TAGS:
        return parse_tagged_scalar(event.tag, event.value)
    return parse_scalar(event.value) if event.implicit[0] else event.value


def _build_syntax_problem(error: yaml.YAMLError, text: str) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line, mark.column) if mark else (0, 0)
    lines = text.splitlines() or [""]
    if line < len(lines) and "\t" in lines[line][: column + 1]:
        return Problem(line + 1, column + 1, "", "a tab where YAML requires spaces", "indent with spaces")
    reason = str(getattr(error, "problem", "") or "it cannot be read").replace("<", "'").replace(">", "'")
    # The parser may notice the error only after the last character; then it is reported on the last line.
    if line >= len(lines):
        line, column = len(lines) - 1, len(lines[-1])
    message = f"this is not YAML: {reason}"
    return Problem(line + 1, column + 1, "", message, "check quotes, colons and brackets")
