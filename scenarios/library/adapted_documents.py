"""Copies of scenarios with another name and other defaults of variables, otherwise as they were written."""

from collections.abc import Iterator, Mapping

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def adapt_document(source: str, name: str, defaults: Mapping[str, str]) -> str:
    """The valid document with this name; variables that it does not have are ignored.

    The values must be plain words, such as names of services and paths.
    """
    root = yaml.compose(source, Loader=_LOADER)
    found = list(_find_places(root, name, defaults))
    for begin, end, value in sorted(found, reverse=True):
        source = f"{source[:begin]}{value}{source[end:]}"
    return source


def _find_places(
    root: yaml.Node | None, name: str, defaults: Mapping[str, str]
) -> Iterator[tuple[int, int, str]]:
    """The scalars to replace, as positions in the text, with their new values."""
    wanted: dict[tuple[str, ...], str] = {("metadata", "name"): name}
    wanted |= {("spec", "variables", word, "default"): value for word, value in defaults.items()}
    for path, value in wanted.items():
        node = root
        for word in path:
            node = _find_value(node, word)
        if isinstance(node, yaml.ScalarNode):
            yield node.start_mark.index, node.end_mark.index, value


def _find_value(node: yaml.Node | None, word: str) -> yaml.Node | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next((value for key, value in pairs if key.value == word), None)
