"""The services that scenarios act on."""

from django.contrib import admin

from scenarios.models import Service


@admin.register(Service)
class ServiceAdmin(admin.ModelAdmin):
    list_display = ["name", "base_url", "description"]
    search_fields = ["name", "description"]
