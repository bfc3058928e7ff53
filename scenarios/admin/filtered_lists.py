"""Lists with filters that are typed, filters that people have saved, and links that outlive their filters."""

from collections.abc import Iterator
from typing import Any, cast

from django.contrib import admin, messages
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import IGNORED_PARAMS, ChangeList
from django.contrib.auth.models import User
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.paginator import Page, Paginator
from django.db import DataError, NotSupportedError
from django.db.models import QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property

from scenarios.control_room import saved_filters

# How a scenario uses a service, in addresses.
TOUCHED, PROBED = "touched", "probed"
# Up to here, reading and skipping the rows before a page costs less than a further query.
MAX_SKIPPED = 1000
# To count a million rows takes the database a third of a second, at each look at a list.
MAX_COUNTED = 50_000

# What the values of a link can raise when a list is counted: too large a number, half of a range, a lookup
# that the database does not have. Django handles only those that are raised before.
_UNUSABLE_VALUES = (OverflowError, ValueError, TypeError, IndexError, NotSupportedError, DataError)
# A regular expression can take minutes for each row, or be none.
_REFUSED_LOOKUPS = frozenset({"regex", "iregex"})


class NearerEndPaginator(Paginator):
    """Finds the keys of a page from the nearer end of the list, in an index, and then reads only its rows.

    A database reads each row that an offset skips. MAX_COUNTED rows are counted and have pages; if there are
    others, `has_more`, filters or the other order show them.
    """

    @cached_property
    def _counted(self) -> int:
        queryset = cast("QuerySet[Any]", self.object_list)
        return queryset.order_by().values("pk")[: MAX_COUNTED + 1].count()

    @cached_property
    def count(self) -> int:
        return min(self._counted, MAX_COUNTED)

    @property
    def has_more(self) -> bool:
        return self._counted > MAX_COUNTED

    @property
    def count_in_words(self) -> str:
        return f"more than {MAX_COUNTED:,}" if self.has_more else f"{self.count:,}"

    def page(self, number: Any) -> Page:
        number = self.validate_number(number)
        bottom = (number - 1) * self.per_page
        if bottom <= MAX_SKIPPED:
            return super().page(number)
        top = min(bottom + self.per_page, self.count)
        queryset = cast("QuerySet[Any]", self.object_list)
        keys = self._find_keys(queryset, bottom, top)
        rows = queryset.in_bulk(keys)
        return Page([rows[key] for key in keys if key in rows], number, self)

    def _find_keys(self, queryset: QuerySet[Any], bottom: int, top: int) -> list[Any]:
        keys = queryset.values_list("pk", flat=True)
        if self.has_more or bottom <= self.count - top:
            return list(keys[bottom:top])
        return list(keys.reverse()[self.count - top : self.count - bottom])[::-1]


class KnownFiltersList(ChangeList):
    """Leaves out parameters that it has no filter for, with a message: a link may be older than the list.

    Django would show all rows instead, or refuse the request.
    """

    def get_filters(self, request: HttpRequest) -> Any:
        for name in [name for name in self.filter_params if not self._is_known(name, request)]:
            del self.filter_params[name]
            self.params.pop(name, None)
            sentence = f"This list has no filter {name[:80]!r}; it is left out."
            messages.warning(request, sentence)
        for name, values in self.filter_params.items():
            self.filter_params[name] = [replace_nul(value) for value in values]
        return super().get_filters(request)

    def get_ordering_field(self, field_name: Any) -> Any:
        """Django ignores `sortable_by` here, so that a link could sort by a column without an index."""
        is_sortable = self.sortable_by is None or field_name in self.sortable_by
        return super().get_ordering_field(field_name) if is_sortable else None

    def _is_known(self, name: str, request: HttpRequest) -> bool:
        if name in IGNORED_PARAMS:
            return True
        own = {getattr(one, "parameter_name", None) for one in self.list_filter}
        if name in own:
            return True
        field, *lookups = name.split(LOOKUP_SEP)
        if not _REFUSED_LOOKUPS.isdisjoint(lookups):
            return False
        try:
            self.lookup_opts.get_field(field)
        except FieldDoesNotExist:
            return False
        values = self.filter_params[name]
        return all(self.model_admin.lookup_allowed(name, value, request) for value in values)


def replace_nul(text: str) -> str:
    """What a filter compares with: a NUL, which no database stores, must not leave the list unfiltered."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


class UsableFiltersAdmin(admin.ModelAdmin):
    """Leaves all filters out, with a message, if one of them has a value that no database can compare."""

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        try:
            return super().get_changelist_instance(request)
        except (*_UNUSABLE_VALUES, IncorrectLookupParameters) as error:
            if not request.GET:
                raise
            sentence = "A filter of this link has a value that cannot be used; all filters are left out."
            messages.warning(request, sentence)
            raise IncorrectLookupParameters(sentence) from error


class TypedFilter(admin.SimpleListFilter):
    """A field to type into, with suggestions of a page: thousands of choices would make a page of megabytes.

    `suggestions` is the URL's name of that page, and `suggested_to` the permission that it needs.
    """

    template = "admin/typed_filter.html"
    suggestions = ""
    suggested_to = ""

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        self._may_see_suggestions = request.user.has_perm(self.suggested_to)
        return []

    def has_output(self) -> bool:
        return True

    def value(self) -> str:
        return (super().value() or "").strip()

    def choices(self, changelist: Any) -> Iterator[Any]:
        """A single one: what the template needs."""
        others = [
            (name, value)
            for name, values in changelist.filter_params.items()
            for value in values
            if name != self.parameter_name
        ]
        yield {
            "value": self.value(),
            "name": self.parameter_name,
            "others": others,
            "clear": changelist.get_query_string(remove=[self.parameter_name]),
            "suggestions": reverse(self.suggestions) if self._may_see_suggestions else "",
        }


def describe_saved_filters(request: HttpRequest, page: str) -> dict[str, Any]:
    """What the templates of a list show of its saved filters."""
    user = cast("User", request.user)
    present = saved_filters.clean_query(request.META.get("QUERY_STRING", ""))
    found = saved_filters.list_filters(user, page)
    return {
        "saved_filters": [
            {"row": row, "is_own": row.owner_id == user.pk, "may_remove": saved_filters.may_remove(user, row)}
            for row in found
        ],
        "present_query": present,
        "is_saved": any(row.query == present and row.owner_id == user.pk for row in found),
    }


def save_present_filter(request: HttpRequest, page: str) -> tuple[str, list[str]]:
    """Store what the form says; returns its query, and what is wrong with the form."""
    form = saved_filters.SavedFilterForm(request.POST)
    if not form.is_valid():
        return "", list(saved_filters.list_errors(form))
    try:
        saved = saved_filters.save_filter(cast("User", request.user), page, form)
    except ValidationError as error:
        return form.cleaned_data["query"], list(error.messages)
    return saved.query, []


class NameOfScenarioFilter(TypedFilter):
    title = "scenario"
    parameter_name = "scenario"
    suggestions = "admin:scenarios_scenario_names"
    suggested_to = "scenarios.view_scenario"


class NameOfEnvironmentFilter(TypedFilter):
    title = "environment"
    parameter_name = "environment"
    suggestions = "admin:scenarios_environment_names"
    suggested_to = "scenarios.view_environment"


class NameOfServiceFilter(TypedFilter):
    title = "service"
    parameter_name = "service"
    suggestions = "admin:scenarios_service_names"
    suggested_to = "scenarios.view_service"
