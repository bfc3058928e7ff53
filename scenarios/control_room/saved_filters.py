"""Saves the filter of a list under a name, for its owner or for everybody who may view the list."""

from collections.abc import Sequence
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import QueryDict

from scenarios.models import SavedFilter
from scenarios.models.saved_filters import MAX_QUERY_LENGTH

MAX_EACH = 50
# Of Django's lists: the page, an error, counts, whether everything is shown, and what popups add.
PASSING_PARAMETERS = ("p", "e", "all", "_facets", "_popup", "_to_field")


def clean_query(text: str) -> str:
    """The query string without what says nothing of the filter; the same filter always gives the same text.

    It is ASCII: whatever people type is percent-encoded.
    """
    parameters = QueryDict(text.removeprefix("?")[: 2 * MAX_QUERY_LENGTH])
    pairs = [
        (name, value)
        for name, values in parameters.lists()
        for value in values
        if name not in PASSING_PARAMETERS and value
    ]
    return urlencode(sorted(pairs))


class SavedFilterForm(forms.Form):
    name = forms.CharField(max_length=60)
    query = forms.CharField(widget=forms.HiddenInput, max_length=2 * MAX_QUERY_LENGTH)
    is_shared = forms.BooleanField(label="Show it to everybody", required=False)

    def clean_query(self) -> str:
        query = clean_query(self.cleaned_data["query"])
        if not query:
            raise ValidationError("Choose a filter or search for something first.")
        if len(query) > MAX_QUERY_LENGTH:
            raise ValidationError("The filter is too long to be saved.")
        return query


def list_filters(user: User, page: str) -> list[SavedFilter]:
    """Those of the user and the shared ones of the list."""
    rows = SavedFilter.objects.filter(Q(owner=user) | Q(is_shared=True), page=page)
    return list(rows.select_related("owner"))


def save_filter(user: User, page: str, form: SavedFilterForm) -> SavedFilter:
    """Store it, or replace the user's own with this name.

    Raises:
        ValidationError: the user has too many.
    """
    values = form.cleaned_data
    own = SavedFilter.objects.filter(owner=user, page=page)
    if own.count() >= MAX_EACH and not own.filter(name=values["name"]).exists():
        raise ValidationError(f"You have {MAX_EACH} filters of this list; remove one first.")
    changes = {"query": values["query"], "is_shared": values["is_shared"]}
    saved, _is_new = SavedFilter.objects.update_or_create(
        owner=user, page=page, name=values["name"], defaults=changes
    )
    return saved


def may_remove(user: User, saved: SavedFilter) -> bool:
    return user.is_superuser or saved.owner_id == user.pk


def list_errors(form: SavedFilterForm) -> Sequence[str]:
    return [str(sentence) for sentences in form.errors.values() for sentence in sentences]
