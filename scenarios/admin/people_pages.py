"""People: Django's own pages of users, which delete those with many runs in short transactions."""

from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from scenarios.admin.filtered_lists import UsableFiltersAdmin
from scenarios.runs.detaching import detached_runs

admin.site.unregister(User)  # registered by the import above


@admin.register(User)
class PersonAdmin(UsableFiltersAdmin, UserAdmin):
    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        user = self.get_object(request, unquote(object_id)) if request.POST else None
        if user is None or not self.has_delete_permission(request, user):
            return super().delete_view(request, object_id, extra_context)
        with detached_runs("started_by", user):
            return super().delete_view(request, object_id, extra_context)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        for user in queryset:
            with detached_runs("started_by", user):
                user.delete()
