"""A document with a tag more or less is otherwise as it was written."""

import pytest
import yaml

from scenarios.library.tag_edits import delete_tag, insert_tag

LINES = (
    "metadata:\n  name: shop # ours\n  tags:\n    - slow # one\n    - nightly # two\n  title: Ü\nspec: 1\n"
)
BRACKETS = "metadata:\n  name: shop\n  tags: [slow, nightly] # both\nspec: 1\n"
FLOW = 'metadata: {name: shop, "tags": ["slow", nightly]}\nspec: 1\n'
NO_TAGS = "# ours\nmetadata:\n  name: shop # ours\n  description: |\n    long\n\nspec: 1\n"
FLOW_WITHOUT = "metadata: {name: shop}\nspec: 1\n"
EMPTY = "metadata:\n  tags: []\n  name: shop\nspec: 1\n"
TAGS = ["fast", "on", "two words", "1", 'a "quoted" one', "ärgerlich", "a: b # c"]


@pytest.mark.parametrize("source", [LINES, BRACKETS, FLOW, NO_TAGS, FLOW_WITHOUT, EMPTY])
@pytest.mark.parametrize("tag", TAGS)
def test_a_tag_is_added_and_removed_again(source: str, tag: str) -> None:
    before = yaml.safe_load(source)
    tags = before["metadata"].get("tags", [])
    changed = insert_tag(source, tag)
    assert yaml.safe_load(changed)["metadata"].pop("tags") == [*tags, tag]
    restored = yaml.safe_load(delete_tag(changed, tag))
    assert restored["metadata"].pop("tags") == tags
    before["metadata"].pop("tags", None)
    assert restored == before


@pytest.mark.parametrize("source", [LINES, BRACKETS, FLOW])
def test_every_tag_can_be_removed(source: str) -> None:
    assert yaml.safe_load(delete_tag(delete_tag(source, "slow"), "nightly"))["metadata"]["tags"] == []


def test_comments_and_order_stay() -> None:
    assert insert_tag(LINES, "fast") == LINES.replace("# two\n", "# two\n    - fast\n")
    assert delete_tag(LINES, "slow") == LINES.replace("    - slow # one\n", "")
    assert insert_tag(NO_TAGS, "fast") == NO_TAGS.replace("# ours\n  desc", "# ours\n  tags: [fast]\n  desc")


def test_a_document_without_the_tag_stays_as_it_is() -> None:
    assert delete_tag(NO_TAGS, "slow") == NO_TAGS
    assert delete_tag(LINES, "fast") == LINES
