from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps


class CoordinatorSiteConfig(AppConfig):
    name = "coordinator_site"
    default = True


class ControlRoomConfig(admin_apps.AdminConfig):
    """Django's admin as the control room."""

    default = False
    default_site = "scenarios.control_room.ControlRoom"
