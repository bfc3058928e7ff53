"""Documents with one tag more or less, otherwise as they were written."""

import json
import re

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Words that need no quotes in YAML and are read as text.
_PLAIN = re.compile(r"(?!(?:true|false|yes|no|on|off|null|nan|inf|[yn])\Z)[a-z][a-z0-9_-]*")


def insert_tag(source: str, tag: str) -> str:
    """The valid document with one tag more, at the end of its list of tags."""
    metadata = _find_entry(yaml.compose(source, Loader=_LOADER), "metadata")
    if metadata is None:
        return source
    text = _quote(tag)
    if (entry := _find_entry(metadata[1], "tags")) is None:
        return _insert_list(source, metadata[1], f"tags: [{text}]")
    value = entry[1]
    if not value.value:
        return f"{source[: value.start_mark.index]}[{text}]{source[value.end_mark.index :]}"
    end = value.value[-1].end_mark.index
    if _is_in_brackets(value):
        return f"{source[:end]}, {text}{source[end:]}"
    return _insert_line(source, end, f"{' ' * value.start_mark.column}- {text}")


def delete_tag(source: str, tag: str) -> str:
    """The valid document without the tag. Comments between two tags in brackets are lost."""
    metadata = _find_entry(yaml.compose(source, Loader=_LOADER), "metadata")
    entry = _find_entry(metadata[1], "tags") if metadata is not None else None
    if entry is None:
        return source
    key, value = entry
    kept = [node for node in value.value if node.value != tag]
    if kept and not _is_in_brackets(value):
        for node in reversed([node for node in value.value if node.value == tag]):
            begin = source.rfind("\n", 0, node.start_mark.index) + 1
            source = f"{source[:begin]}{source[_find_end_of_line(source, node.end_mark.index) + 1 :]}"
        return source
    texts = (source[node.start_mark.index : node.end_mark.index] for node in kept)
    # The end of a list of lines is only at the next word of the document.
    end = value.end_mark.index if _is_in_brackets(value) else value.value[-1].end_mark.index
    return f"{source[: key.end_mark.index]}: [{', '.join(texts)}]{source[end:]}"


def _insert_list(source: str, metadata: yaml.Node, text: str) -> str:
    """After the name, which every scenario has."""
    entry = _find_entry(metadata, "name")
    if entry is None:
        return source
    key, value = entry
    end = value.end_mark.index
    if _is_in_brackets(metadata):
        return f"{source[:end]}, {text}{source[end:]}"
    return _insert_line(source, end, f"{' ' * key.start_mark.column}{text}")


def _insert_line(source: str, index: int, line: str) -> str:
    """Below the line with this index, which may end with a comment."""
    end = _find_end_of_line(source, index)
    return f"{source[:end]}\n{line}{source[end:]}"


def _find_end_of_line(source: str, index: int) -> int:
    found = source.find("\n", index)
    return found if found >= 0 else len(source)


def _is_in_brackets(node: yaml.Node) -> bool:
    return isinstance(node, yaml.CollectionNode) and bool(node.flow_style)


def _find_entry(node: yaml.Node | None, word: str) -> tuple[yaml.Node, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((key, value) for key, value in pairs if key.value == word), None)


def _quote(tag: str) -> str:
    return tag if _PLAIN.fullmatch(tag) else json.dumps(tag, ensure_ascii=False)
