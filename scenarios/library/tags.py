"""Adds tags to stored scenarios, and removes them. Each change is a new version of the document."""

from django.contrib.auth.models import User
from django.db import transaction

from scenarios.domain.errors import InvalidDocument, ScenarioDeleted, ScenarioError
from scenarios.drivers.documents import read_document
from scenarios.library.scenarios import save_scenario
from scenarios.library.tag_edits import delete_tag, insert_tag
from scenarios.models import Scenario


class CannotTag(ScenarioError):  # noqa: N818 - a state, as its siblings in errors.py
    """The document cannot be changed by a program, or would not be valid afterwards."""


def add_tag(scenario: Scenario, tag: str, *, by: User | None = None) -> bool:
    """Add the tag to the scenario's document as it is stored now; False if it has the tag.

    Raises:
        CannotTag: the document, or the one with the tag, is not valid.
        ScenarioDeleted: it is no longer stored.
    """
    return _change_tags(scenario, tag, by, is_wanted=True)


def remove_tag(scenario: Scenario, tag: str, *, by: User | None = None) -> bool:
    """Remove the tag from the scenario's document as it is stored now; False if it does not have the tag.

    Raises: as `add_tag`.
    """
    return _change_tags(scenario, tag, by, is_wanted=False)


@transaction.atomic
def _change_tags(scenario: Scenario, tag: str, by: User | None, *, is_wanted: bool) -> bool:
    # The lock keeps the change of somebody else who saves the document at the same time.
    stored = Scenario.objects.select_for_update().filter(pk=scenario.pk).first()
    if stored is None:
        raise ScenarioDeleted(scenario.name)
    if (tag in stored.tags) == is_wanted:
        return False
    change = insert_tag if is_wanted else delete_tag
    try:
        document = read_document(change(stored.document, tag))
    except InvalidDocument as error:
        raise CannotTag(
            f"{stored.name!r} is unchanged, because its document would not be valid: {error}"
        ) from error
    kept = [other for other in stored.tags if other != tag]
    tags = [*kept, tag] if is_wanted else kept
    if list(document.tags) != tags:
        raise CannotTag(f"{stored.name!r} is unchanged; change the tags in its document.")
    save_scenario(document, by=by)
    return True
