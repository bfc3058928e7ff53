"""docs/architecture.md names files that exist, and its paths through the code are short."""

import re
from pathlib import Path, PurePosixPath

import pytest

PROJECT = Path(__file__).parents[2]
PAGE = (PROJECT / "docs/architecture.md").read_text()
PATHS = dict(re.findall(r"^\*\*(.+)\*\*\n\n((?:\d+\. .+\n)+)", PAGE, re.MULTILINE))


def read_names(items: str) -> list[str]:
    """The files of a list; one that is named without its folder stands beside the one before it."""
    names: list[str] = []
    for name in re.findall(r"`([\w/]+\.py)`", items):
        names.append(name if "/" in name else str(PurePosixPath(names[-1]).with_name(name)))
    return names


def test_the_page_has_its_paths() -> None:
    assert len(PATHS) == 6


@pytest.mark.parametrize("path", PATHS)
def test_a_path_names_at_most_ten_files_and_they_exist(path: str) -> None:
    names = read_names(PATHS[path])
    assert 0 < len(names) <= 10
    assert [name for name in names if not (PROJECT / name).is_file()] == []
