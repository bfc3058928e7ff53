"""The allow lists of this machine's coordinator, through the application functions."""

from collections.abc import Sequence
from dataclasses import asdict

from coordinator_client.command_line.coordinator import CommandRefused, NotFound
from coordinator_client.command_line.remote_registrations import build_missing
from coordinator_client.parsing import parse
from coordinator_client.records import AllowList
from scenarios import models
from scenarios.command_line.local_people import read_account
from scenarios.domain.allow_lists import InvalidEntries, ListName
from scenarios.library import allow_lists
from scenarios.published.records import format_time


class LocalAllowLists:
    def list_allow_lists(self) -> Sequence[AllowList]:
        return [_describe(row) for row in models.AllowList.objects.all()]

    def find_allow_list(self, name: str) -> AllowList:
        return _describe(models.AllowList.objects.get_or_create(name=_find_name(name))[0])

    def save_allow_list(self, name: str, entries: Sequence[str] | None) -> AllowList:
        try:
            saved = allow_lists.replace_entries(
                _find_name(name), entries, by=f"{read_account()}, command line"
            )
        except InvalidEntries as error:
            sentences = (f"Invalid entry: {sentence}." for _index, sentence in error.errors)
            raise CommandRefused("\n".join(sentences)) from error
        return _describe(saved)


def _find_name(name: str) -> ListName:
    try:
        return ListName(name)
    except ValueError:
        raise NotFound(build_missing("allow-list", name)) from None


def _describe(row: models.AllowList) -> AllowList:
    state = allow_lists.describe(row)
    changed_at = format_time(state.changed_at) if state.changed_at else None
    return parse(AllowList, {**asdict(state), "changed_at": changed_at})
