"""People: Django's own pages of users, which leave those with many runs to the watchdog."""

from typing import cast

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.http import HttpRequest

from scenarios.admin.filtered_lists import UsableFiltersAdmin
from scenarios.admin.requested_deletions import RequestedDeletionsAdmin
from scenarios.runs import deletion_requests

admin.site.unregister(User)  # registered by the import above


@admin.register(User)
class PersonAdmin(RequestedDeletionsAdmin, UsableFiltersAdmin, UserAdmin):
    deletion_field = "person"

    def delete_model(self, request: HttpRequest, obj: User) -> None:
        deletion_requests.delete_or_request(obj, by=cast("User", request.user))
